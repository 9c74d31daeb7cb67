"""Keys, users and sessions, in the database and in memory."""
