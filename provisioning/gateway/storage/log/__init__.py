"""The database's log on the volume: what was committed on the container disk is there before anybody is answered."""
