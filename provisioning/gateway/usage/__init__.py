"""Quotas and usage of users and keys, by day and month."""
