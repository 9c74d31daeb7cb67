"""HTTP requests and answers."""
