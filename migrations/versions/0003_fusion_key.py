"""``jobs.company`` is called ``fusion_key``; a job that has to train alone has none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TRAINS_ALONE = sa.text(
    "UPDATE jobs SET fusion_key = NULL WHERE CAST(lineage AS TEXT) <> '[]' "
    'OR CAST(execution AS TEXT) LIKE \'%"class": "sequential"%\''
)


def upgrade() -> None:
    """The new name."""
    rename("company", "fusion_key")
    op.execute(TRAINS_ALONE)


def downgrade() -> None:
    """The old name."""
    rename("fusion_key", "company")


def rename(old: str, new: str) -> None:
    """The column and its index."""
    op.drop_index(f"ix_jobs_{old}", "jobs")
    op.alter_column("jobs", old, new_column_name=new)
    op.create_index(f"ix_jobs_{new}", "jobs", [new, "state"])
