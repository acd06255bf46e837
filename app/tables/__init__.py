"""The tables, one noun a file. ("Models" are trained models here, so the ORM has another name.)"""

from app.life import ACTIVE, HELD, TERMINAL, JobState
from app.tables.answer import IdempotentAnswer
from app.tables.checkpoint import Checkpoint
from app.tables.counter import Counter
from app.tables.dataset import Dataset
from app.tables.event import Event
from app.tables.intervention import Intervention
from app.tables.job import Job
from app.tables.key import ApiKey
from app.tables.metric import MetricChunk, MetricLevel
from app.tables.model import Model, ModelVersion
from app.tables.task import Task, TaskState
from app.tables.tenant import Tenant
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
