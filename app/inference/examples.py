"""The held-back examples to try a model on."""

from typing import Any

from app.errors import Unavailable
from app.storage import DamagedFile
from training.plan import Plan
from training.stored import Opener


def examples(plan: Plan, arrays: Opener, split: str, limit: int) -> list[dict[str, Any]]:
    """Raw inputs and true targets of the first rows of a split."""
    from training.data import example, raw
    from training.data import split as rows_of

    try:
        x, y = raw(plan, arrays)
    except DamagedFile as error:
        raise Unavailable("the file of the data set is damaged; upload it again") from error
    chosen = rows_of(plan, y)[split][:limit]
    return [example(plan, x, y, int(i)) for i in chosen]
