"""The foundations that every feature of the gateway uses: errors, settings, clock, logs, HTTP and the database."""
