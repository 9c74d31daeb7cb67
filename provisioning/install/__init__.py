"""The installer: observe, decide, run. Runs on the pod with the system's Python and nothing else."""
