"""Rules that a preview or an update must pass."""
