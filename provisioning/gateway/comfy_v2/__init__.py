"""The Comfy API v2, the contract of Comfy-Org's SDKs."""
