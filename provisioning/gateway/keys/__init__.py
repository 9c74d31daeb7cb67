"""API keys: the service that issues, changes, rotates and revokes them."""
