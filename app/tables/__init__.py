"""The tables, one noun a file. ("Models" are trained models here, so the ORM has another name.)"""

from app.tables.checkpoint import Checkpoint
from app.tables.job import ACTIVE, TERMINAL, Job, JobState
from app.tables.key import ApiKey
from app.tables.metric import MetricChunk
from app.tables.model import Model, ModelVersion
from app.tables.task import Task, TaskState
from app.tables.tenant import Tenant
from app.tables.worker import Worker

__all__ = [
    "ACTIVE",
    "TERMINAL",
    "ApiKey",
    "Checkpoint",
    "Job",
    "JobState",
    "MetricChunk",
    "Model",
    "ModelVersion",
    "Task",
    "TaskState",
    "Tenant",
    "Worker",
]
