"""What listeners hear."""
