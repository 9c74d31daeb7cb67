"""The provider's functions (Pulumi invokes)."""
