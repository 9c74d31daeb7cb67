"""A pod: its specification, its state, and when it is ready."""
