"""The rules: each is a pure function from a resource's inputs to its violations, and a policy that applies it."""
