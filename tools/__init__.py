"""What a fresh machine needs before it can run the project: Python packages, the Pulumi engine, its plugins."""
