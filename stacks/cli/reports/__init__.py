"""What the commands report: findings, receipts, plans, losses. They decide nothing."""
