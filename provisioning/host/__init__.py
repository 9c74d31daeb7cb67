"""The pod's machine: commands, files, processes, users, system packages, environment variables."""
