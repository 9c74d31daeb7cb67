"""Who may come in, and how much of everything."""
