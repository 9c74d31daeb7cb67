"""The SSH client of provisioning: connect with the pinned host key, upload the bundle, follow the installer."""
