"""What lies on the network volume for the next start: software archives, each with a keyed hash, and sealed secrets."""
