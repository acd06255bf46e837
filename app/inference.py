"""The one door from the service to torch, which is imported for the first prediction."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import Invalid, Unavailable
from app.numbers import speakable
from app.storage import DamagedFile, Storage
from app.tables import ModelVersion
from training.mistakes import Mistake, Mistakes
from training.plan import Plan
from training.stored import Opener

if TYPE_CHECKING:
    from training.predict import Predictor

LOADED = 32
"""Models kept in memory."""


def predict(
    storage: Storage, version: ModelVersion, inputs: list[Any], *, logits: bool = False
) -> list[dict[str, Any]]:
    """One prediction an input; raises ``Invalid`` with a pointer to an input that does not fit."""
    from training.predict import UnfitInput

    try:
        predictor = loaded(storage.root, version.location, version.sha256)
        answers: list[dict[str, Any]] = speakable(predictor.predict(inputs, logits=logits))
    except UnfitInput as error:
        pointer = "/inputs" + "".join(f"/{step}" for step in error.place)
        mistake = Mistake(pointer, "unfit_input", str(error))
        raise Invalid("an input does not fit the model", [mistake]) from error
    except Mistakes as error:
        found = [m._replace(pointer="/inputs" + m.pointer) for m in error.mistakes]
        raise Invalid("the inputs do not fit the model", found) from error
    except DamagedFile as error:
        raise Unavailable("the model's file is damaged; train it again") from error
    return answers


@lru_cache(maxsize=LOADED)
def loaded(root: Path, location: str, sha256: str) -> "Predictor":
    """A model, read once. A version never changes, so its location identifies it."""
    from training.predict import Predictor

    return Predictor(Storage(root).get(location, sha256))


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
