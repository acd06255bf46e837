"""The Python client of Fallline, its command line and the service on one machine.

```python
import fallline

with fallline.Client() as client:
    job = client.jobs.create({"dataset": "digits", "model": [...], ...})
    for job, points in client.jobs.follow(job["id"]):
        print(job["progress"]["iteration"], points["loss"].values[-1:])
```

This package speaks HTTP and starts processes; it imports nothing of the service itself.
"""

from fallline.answers import Points
from fallline.client import Client
from fallline.errors import ApiError, FalllineError, StartFailed, TaskFailed, Unreachable

__all__ = [
    "ApiError",
    "Client",
    "FalllineError",
    "Points",
    "StartFailed",
    "TaskFailed",
    "Unreachable",
]
