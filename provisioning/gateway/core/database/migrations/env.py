"""What Alembic runs for each command: it works on the connection, and in the transaction, that it was given."""

from alembic import context

from provisioning.gateway.core.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot change most things of a table in place.
    render_as_batch=True,
)
context.run_migrations()
