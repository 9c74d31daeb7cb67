"""What runs on the pod, and the client that brings it there."""
