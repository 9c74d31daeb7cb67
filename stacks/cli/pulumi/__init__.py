"""The Pulumi engine: how it is run, what its backend and state hold."""
