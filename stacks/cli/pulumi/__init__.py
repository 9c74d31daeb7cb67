"""The Pulumi engine: running it, and reading its backend and state."""
