"""Third-party provider plugins that the engine needs."""
