"""Jobs, from submission to a final state."""
