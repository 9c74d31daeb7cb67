"""The Pulumi engine: one on PATH, else the official release, else a build from source."""
