"""Authentication of requests, and signed URLs of files."""
