"""Jobs: what was asked for, how far it is, who may write about it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, TenantOwned, Utc, db_now
from app.job_state import JobState


class Job(TenantOwned, Base):
    """One training job.

    ``fence`` rises with every claim and every cancellation; whoever writes names the fence it was
    given, so the writes of a worker that lost the job take no effect. ``iteration`` is how many
    losses are durable, ``attempt_iteration`` how far the present attempt has come (less, while it
    repeats what a lost one had done). ``running_seconds`` is over all attempts. ``events`` and
    ``interventions`` say how many rows of these tables are the job's. ``lineage``: the
    specifications that ruled the iterations before the present one does
    (``app.services.jobs.lineage``). ``fusion_key``: equal for jobs that may be trained as one group
    (``training.validation.fusion_rules``).
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_queue", "state", "priority", "id", "tenant_id", "device_wanted"),
        Index("ix_jobs_lanes", "state", "tenant_id", "device_wanted", "priority", "id", "worker"),
        Index("ix_jobs_tenant_id_id", "tenant_id", "id"),
        Index("ix_jobs_fusion_key", "fusion_key", "state"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    spec: Mapped[dict[str, Any]] = mapped_column(JSON())
    labels: Mapped[dict[str, str]] = mapped_column("metadata", JSON())
    priority: Mapped[int]
    device_wanted: Mapped[str]
    iterations: Mapped[int]
    series: Mapped[list[str]] = mapped_column(JSON())
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    signature: Mapped[str | None] = mapped_column(index=True)
    fusion_key: Mapped[str | None]
    retry_of: Mapped[str | None]
    forked_from: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    lineage: Mapped[list[dict[str, Any]]] = mapped_column(JSON(), default=list)
    request_id: Mapped[str]

    state: Mapped[str] = mapped_column(default=JobState.QUEUED)
    state_reason: Mapped[str | None]
    fence: Mapped[int] = mapped_column(default=0)
    lease_expires_at: Mapped[datetime | None] = mapped_column(Utc)
    worker: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    deaths: Mapped[int] = mapped_column(default=0)
    death_iteration: Mapped[int | None]

    iteration: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[float] = mapped_column(default=0.0)
    running_seconds: Mapped[float] = mapped_column(default=0.0)
    events: Mapped[int] = mapped_column(default=0)
    interventions: Mapped[int] = mapped_column(default=0)
    attempt_iteration: Mapped[int] = mapped_column(default=0)
    attempt_first_iteration: Mapped[int] = mapped_column(default=0)
    attempt_started_at: Mapped[datetime | None] = mapped_column(Utc)
    progressed_at: Mapped[datetime | None] = mapped_column(Utc)
    latest: Mapped[dict[str, Any]] = mapped_column(JSON(), default=dict)
    best: Mapped[dict[str, Any]] = mapped_column(JSON(), default=dict)

    device: Mapped[str | None]
    execution: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    model: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    created_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
    started_at: Mapped[datetime | None] = mapped_column(Utc)
    finished_at: Mapped[datetime | None] = mapped_column(Utc)
