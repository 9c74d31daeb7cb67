"""The installer: observe, decide, run. It runs on the pod with the system's Python and the standard library."""
