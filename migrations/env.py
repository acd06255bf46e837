"""How Alembic reaches the database: one connection, one transaction, a bounded wait for locks."""

from alembic import context
from sqlalchemy import Connection, text

from app.database.engine import make_engine
from app.tables import Job

config = context.config


def run(connection: Connection) -> None:
    """Runs the revisions on an open connection."""
    context.configure(
        connection=connection,
        target_metadata=Job.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    if connection.dialect.name == "postgresql":
        # Waiting for a lock behind a long query would hold up everybody else.
        connection.execute(text("SET lock_timeout = '10s'"))
        connection.commit()
    else:
        # SQLite changes a table by making it anew, and dropping the old one would delete the rows
        # that belong to its rows. Without effect inside a transaction, so on the driver's own.
        connection.connection.execute("PRAGMA foreign_keys=OFF")
    with context.begin_transaction():
        context.run_migrations()


engine = make_engine(config.attributes["url"], patient=True).execution_options(write=True)
with engine.connect() as opened:
    run(opened)
engine.dispose()
