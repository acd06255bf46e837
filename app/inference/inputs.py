"""Inputs as a model takes them, or every reason why it does not."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Invalid
from training.spec.mistakes import Mistake, Mistakes

if TYPE_CHECKING:
    from training.engine.predict import Predictor

Floats = NDArray[np.float64]


def fitting(predictor: "Predictor", inputs: list[Any]) -> Floats:
    """The inputs as an array; raises ``Invalid`` with a pointer to an input that does not fit."""
    from training.engine.predict import UnfitInput

    try:
        return predictor.read(inputs)
    except UnfitInput as error:
        pointer = "/inputs" + "".join(f"/{step}" for step in error.place)
        mistake = Mistake(pointer, "unfit_input", str(error))
        raise Invalid("an input does not fit the model", [mistake]) from error
    except Mistakes as error:
        found = [m._replace(pointer="/inputs" + m.pointer) for m in error.mistakes]
        raise Invalid("the inputs do not fit the model", found) from error
