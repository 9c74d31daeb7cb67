"""Telling other servers how jobs ended, by the Standard Webhooks scheme (standardwebhooks.com, specification 1.0)."""
