"""The Comfy API v2, which Comfy-Org's SDKs use."""
