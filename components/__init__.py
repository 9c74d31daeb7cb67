"""Pulumi components that declare an environment from RunPod resources."""
