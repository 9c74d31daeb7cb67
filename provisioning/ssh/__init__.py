"""Our side of provisioning: finds the pod, trusts only its pinned key, sends the bundle, follows the installer."""
