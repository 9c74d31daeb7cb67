"""Creation without duplicates, and verified deletion."""
