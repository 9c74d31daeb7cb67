"""What the gateway costs, against ComfyUI asked directly: `python -m tests.bench.gateway`."""
