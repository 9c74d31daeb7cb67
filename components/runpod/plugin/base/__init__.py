"""Shared by all resources: the base class, validation, settings, property values."""
