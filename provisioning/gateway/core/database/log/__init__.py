"""The database's log on the volume: a commit is on the volume before its request is answered."""
