"""What two sides must agree on: the provider's schema and its bindings, the import contracts."""
