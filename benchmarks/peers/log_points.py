"""MLflow, writing metric points as fast as it takes them: ``python log_points.py DATABASE``.

Its own client on its own store in this process, with no server between; a thousand points a call,
which is the most that ``log_batch`` takes. The file is in WAL mode, which MLflow does not ask for
but gains by: a commit costs it one fsync then, and SQLite's default is ``synchronous=FULL``.

For each line on stdin, a number of calls, it answers with the seconds they took; to an empty line,
with how many points it finds and their sum.
"""

import os
import sqlite3
import sys
import time

os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

BATCH = 1000


def main() -> None:
    """Until there are no more lines."""
    client = MlflowClient(f"sqlite:///{sys.argv[1]}")
    run = client.create_run(client.create_experiment("points")).info.run_id
    with sqlite3.connect(sys.argv[1]) as database:
        mode = database.execute("PRAGMA journal_mode=WAL").fetchone()
        assert mode == ("wal",), mode
    print("ready", flush=True)
    step = 0
    for line in sys.stdin:
        if not line.strip():
            values = [point.value for point in client.get_metric_history(run, "loss")]
            print(len(values), sum(values), flush=True)
            continue
        batches = []
        for _ in range(int(line)):
            now = int(time.time() * 1000)
            steps = range(step, step + BATCH)
            batches.append([Metric("loss", 1.0 / (1 + n), now, n) for n in steps])
            step += BATCH
        began = time.perf_counter()
        for batch in batches:
            client.log_batch(run, metrics=batch)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
