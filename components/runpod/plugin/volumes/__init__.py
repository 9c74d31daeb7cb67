"""Network volumes: whether they hold data and who uses them."""
