"""Users, who own keys, jobs and files."""
