"""Data sets, the log of a job, interventions, answers kept for repeated requests, counters."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """To this revision."""
    for create in (
        datasets,
        locations,
        jobs,
        terminal_states,
        events,
        interventions,
        idempotent_answers,
        counters,
        metric_levels,
    ):
        create()


def downgrade() -> None:
    """Back to the one before."""
    for name in ("metric_levels", "counters", "idempotent_answers", "interventions", "events"):
        op.drop_table(name)
    op.execute(f"DROP TRIGGER terminal_states{'' if sqlite() else ' ON jobs'}")
    if not sqlite():
        op.execute("DROP FUNCTION refuse_a_new_state()")
    with op.batch_alter_table("jobs") as table:
        table.drop_index("ix_jobs_lanes")
        table.drop_index("ix_jobs_queue")
        table.create_index("ix_jobs_queue", ["state", "priority", "id"])
        table.drop_index("ix_jobs_signature")
        table.drop_index("ix_jobs_company")
        table.drop_index("ix_jobs_dataset_id")
        table.drop_constraint("fk_jobs_dataset_id_datasets", type_="foreignkey")
        for column in job_columns():
            table.drop_column(column.name)
    op.drop_index("ix_model_versions_location", "model_versions")
    op.drop_index("ix_checkpoints_location", "checkpoints")
    op.drop_table("datasets")


def owned(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    """The tenant whose row it is."""
    return (
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=f"fk_{table}_tenant_id_tenants",
            ondelete="CASCADE",
        ),
    )


def of_a_job(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    """The job that a row goes with."""
    return (
        sa.Column("job_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=f"fk_{table}_job_id_jobs", ondelete="CASCADE"
        ),
    )


def datasets() -> None:
    """Uploaded data."""
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("schema", sa.JSON(), nullable=False),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("statistics", sa.JSON(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        *owned("datasets"),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
    )
    op.create_index("ix_datasets_tenant_id", "datasets", ["tenant_id"])
    op.create_index("ix_datasets_tenant_id_sha256", "datasets", ["tenant_id", "sha256"])


def locations() -> None:
    """Which row names a file."""
    for table in ("checkpoints", "datasets", "model_versions"):
        op.create_index(f"ix_{table}_location", table, ["location"])


def job_columns() -> list[sa.Column[Any]]:
    """What jobs have in addition."""
    return [
        sa.Column("events", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("interventions", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("lineage", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("running_seconds", sa.Double(), nullable=False, server_default="0"),
        sa.Column("retry_of", sa.String(), nullable=True),
        sa.Column("forked_from", sa.JSON(), nullable=True),
        sa.Column("dataset_id", sa.String(), nullable=True),
        sa.Column("signature", sa.String(), nullable=True),
        sa.Column("company", sa.String(), nullable=True),
    ]


def jobs() -> None:
    """Where a job comes from, which data it needs, how long it ran, how much its log holds."""
    with op.batch_alter_table("jobs") as table:
        for column in job_columns():
            table.add_column(column)
        table.create_foreign_key("fk_jobs_dataset_id_datasets", "datasets", ["dataset_id"], ["id"])
        table.create_index("ix_jobs_dataset_id", ["dataset_id"])
        table.create_index("ix_jobs_signature", ["signature"])
        table.drop_index("ix_jobs_queue")
        lane = ["tenant_id", "device_wanted"]
        table.create_index("ix_jobs_queue", ["state", "priority", "id", *lane])
        table.create_index("ix_jobs_lanes", ["state", *lane, "priority", "id", "worker"])
        table.create_index("ix_jobs_company", ["company", "state"])


def sqlite() -> bool:
    """Which of the two databases it is."""
    return op.get_context().dialect.name == "sqlite"


LEAVES_A_TERMINAL_STATE = (
    "OLD.state IN ('succeeded', 'failed', 'cancelled') AND NEW.state <> OLD.state"
)
REFUSAL = "a job that has ended stays as it is"


def terminal_states() -> None:
    """No job comes back from a terminal state, whoever asks. Made after ``jobs`` was changed:
    SQLite makes a table anew for that, and forgets its triggers."""
    if sqlite():
        op.execute(
            f"CREATE TRIGGER terminal_states BEFORE UPDATE OF state ON jobs "
            f"WHEN {LEAVES_A_TERMINAL_STATE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION refuse_a_new_state() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'check_violation'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER terminal_states BEFORE UPDATE OF state ON jobs FOR EACH ROW "
        f"WHEN ({LEAVES_A_TERMINAL_STATE}) EXECUTE FUNCTION refuse_a_new_state()"
    )


def events() -> None:
    """What happened to a job, in order."""
    op.create_table(
        "events",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("iteration", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        *of_a_job("events"),
        *owned("events"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("job_id", "sequence", name="uq_events_job_id"),
    )
    op.create_index("ix_events_tenant_id", "events", ["tenant_id"])


def interventions() -> None:
    """Changes of a job while it runs."""
    op.create_table(
        "interventions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("iteration", sa.Integer(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        *of_a_job("interventions"),
        *owned("interventions"),
        sa.PrimaryKeyConstraint("id", name="pk_interventions"),
        sa.UniqueConstraint("job_id", "number", name="uq_interventions_job_id"),
    )
    op.create_index("ix_interventions_tenant_id", "interventions", ["tenant_id"])


def idempotent_answers() -> None:
    """What was answered to a request that may be repeated."""
    op.create_table(
        "idempotent_answers",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_sha256", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        *owned("idempotent_answers"),
        sa.PrimaryKeyConstraint("tenant_id", "key", name="pk_idempotent_answers"),
    )
    op.create_index("ix_idempotent_answers_created_at", "idempotent_answers", ["created_at"])
    op.create_index("ix_idempotent_answers_tenant_id", "idempotent_answers", ["tenant_id"])


def counters() -> None:
    """What has happened so often."""
    op.create_table(
        "counters",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("shard", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", "shard", name="pk_counters"),
    )


def metric_levels() -> None:
    """Recorded series, from afar."""
    tenant, to_tenants = owned("metric_levels")
    job, to_jobs = of_a_job("metric_levels")
    op.create_table(
        "metric_levels",
        tenant,
        job,
        sa.Column("series", sa.String(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("first_iteration", sa.Integer(), nullable=False),
        sa.Column("last_iteration", sa.Integer(), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        to_tenants,
        to_jobs,
        sa.PrimaryKeyConstraint(
            "job_id", "series", "level", "first_iteration", name="pk_metric_levels"
        ),
    )
    op.create_index("ix_metric_levels_tenant_id", "metric_levels", ["tenant_id"])
