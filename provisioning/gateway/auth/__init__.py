"""Authentication: finding the caller of a request, and signed addresses of files."""
