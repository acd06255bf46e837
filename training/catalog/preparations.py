"""Ways to prepare data before they are trained on; each is fitted on the training split alone."""

from typing import Literal

Prepare = Literal["standardize", "min_max", "none"]

PREPARATIONS: dict[Prepare, str] = {
    "standardize": (
        "Shifts and scales every feature (of images: every channel) to mean 0 and deviation 1, and "
        "so the target where it is numbers; predictions come back in its own units. "
        "The default for tables."
    ),
    "min_max": "Shifts and scales every feature (of images: every channel) to 0 … 1.",
    "none": "Takes numbers as they are. The default for inline data.",
}
"""Images that are not told otherwise are divided by their largest possible value."""
