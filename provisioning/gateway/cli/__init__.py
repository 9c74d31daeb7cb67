"""The commands of `python -m provisioning.gateway`."""
