"""The gateway's process: nginx, uvicorn behind it, their start and stop."""
