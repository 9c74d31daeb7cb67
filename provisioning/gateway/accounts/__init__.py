"""What keys, users and sessions are in the database and in memory."""
