"""Metrics, health probes and readiness."""
