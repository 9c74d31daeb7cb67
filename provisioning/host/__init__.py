"""What the installer needs of the machine it runs on: commands, users, system packages, the pod's environment."""
