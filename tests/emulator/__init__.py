"""A stand-in of RunPod's REST API v2 on loopback, whose pods are real processes on this machine."""
