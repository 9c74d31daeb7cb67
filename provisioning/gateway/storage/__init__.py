"""What is written down, and where."""
