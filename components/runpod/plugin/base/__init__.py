"""What all resources share: the base class, validation, settings, property values."""
