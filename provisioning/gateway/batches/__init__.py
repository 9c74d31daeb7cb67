"""Batches: one request that submits many jobs."""
