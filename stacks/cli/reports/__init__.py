"""Reports of the commands: findings, receipts, plans, losses."""
