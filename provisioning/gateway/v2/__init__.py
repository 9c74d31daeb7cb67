"""The Comfy API v2: the contract of Comfy-Org's own SDKs, for the caller's own jobs and assets."""
