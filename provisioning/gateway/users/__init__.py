"""Users: accounts that own keys, jobs and files."""
