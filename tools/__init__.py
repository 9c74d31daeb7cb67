"""Set-up of a fresh machine: Python packages, the Pulumi engine, its plugins."""
