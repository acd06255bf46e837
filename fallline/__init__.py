"""The Python client of Fallline, its command line and the service on one machine.

```python
import fallline

with fallline.Client() as client:
    job = client.jobs.create({"dataset": "digits", "model": [...], ...})
    for event in job.events():
        print(event.type, event.points)
    print(job.wait().check().result)
```

`fallline.AsyncClient` has the same methods to be awaited. This package speaks HTTP and starts
processes; it imports nothing of the service itself.
"""

from fallline.answers import (
    Event,
    JobError,
    Metrics,
    ModelRef,
    Page,
    Points,
    Prediction,
    Predictions,
    Progress,
)
from fallline.client import AsyncClient, Client
from fallline.datasets import Dataset
from fallline.errors import (
    ApiError,
    FalllineError,
    JobFailed,
    Mistake,
    StartFailed,
    TaskFailed,
    Unreachable,
    WaitedEnough,
)
from fallline.job import Job, JobRef
from fallline.keys import Key, Tenant
from fallline.models import Model, ModelVersion
from fallline.retries import Retries

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "Dataset",
    "Event",
    "FalllineError",
    "Job",
    "JobError",
    "JobFailed",
    "JobRef",
    "Key",
    "Metrics",
    "Mistake",
    "Model",
    "ModelRef",
    "ModelVersion",
    "Page",
    "Points",
    "Prediction",
    "Predictions",
    "Progress",
    "Retries",
    "StartFailed",
    "TaskFailed",
    "Tenant",
    "Unreachable",
    "WaitedEnough",
]
