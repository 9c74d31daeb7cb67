"""Every form the database ever had, as Alembic revisions in one line; never change one that was released."""
