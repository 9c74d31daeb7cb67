"""Environments: settings, Pulumi program, outputs, and the commands behind make."""
