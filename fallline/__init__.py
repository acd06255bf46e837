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

from fallline.client import AsyncClient, Client
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
from fallline.http.retries import Retries
from fallline.resources.datasets import Dataset
from fallline.resources.job import Job, JobRef
from fallline.resources.keys import Key, Tenant
from fallline.resources.models import Model, ModelVersion
from fallline.types import (
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
