"""The tables, one noun a file. ("Models" are trained models here, so the ORM has another name.)"""

from app.job_state import ACTIVE, HELD, TERMINAL, JobState
from app.tables.access import ApiKey, Tenant
from app.tables.checkpoint import Checkpoint
from app.tables.counter import Counter
from app.tables.dataset import Dataset
from app.tables.event import Event
from app.tables.idempotency import IdempotentAnswer
from app.tables.intervention import Intervention
from app.tables.job import Job
from app.tables.metric import MetricChunk, MetricLevel
from app.tables.model import Model, ModelVersion
from app.tables.task import Task, TaskState
from app.tables.worker import Worker

__all__ = [
    "ACTIVE",
    "HELD",
    "TERMINAL",
    "ApiKey",
    "Checkpoint",
    "Counter",
    "Dataset",
    "Event",
    "IdempotentAnswer",
    "Intervention",
    "Job",
    "JobState",
    "MetricChunk",
    "MetricLevel",
    "Model",
    "ModelVersion",
    "Task",
    "TaskState",
    "Tenant",
    "Worker",
]
