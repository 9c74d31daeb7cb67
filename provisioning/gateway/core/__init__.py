"""What every feature of the gateway stands on: errors, settings, clock, logs, HTTP and the database."""
