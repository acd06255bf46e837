"""The held-back examples to try a model on."""

from typing import Any

from app.errors import Unavailable
from app.storage import DamagedFile
from training.datasets.uploaded import Opener
from training.spec.plan import Plan


def examples(plan: Plan, arrays: Opener, split: str, limit: int) -> list[dict[str, Any]]:
    """Raw inputs and true targets of the first rows of a split."""
    from training.tensors.data import example, raw
    from training.tensors.data import split as rows_of

    try:
        x, y = raw(plan, arrays)
    except DamagedFile as error:
        raise Unavailable("the file of the data set is damaged; upload it again") from error
    chosen = rows_of(plan, y)[split][:limit]
    return [example(plan, x, y, int(i)) for i in chosen]
