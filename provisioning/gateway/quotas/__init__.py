"""How much of the machine each user and key may take by day and month, and what they took: fit to be billed."""
