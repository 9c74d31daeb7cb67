"""API keys: issuing, changing, rotating and revoking them."""
