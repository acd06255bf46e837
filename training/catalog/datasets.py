"""Data sets: the facts that validation needs, without loading anything.

Bundled data come with scikit-learn; a test holds these facts against them.
"""

from dataclasses import dataclass
from typing import Literal

from training.catalog.base import Shape


@dataclass(frozen=True)
class Classes:
    """A target that is one of several labels, in the order of the network's outputs.

    ``counts``: the examples of each; empty while nobody has counted them.
    """

    labels: tuple[int | str, ...]
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Values:
    """A target of ``width`` real numbers."""

    width: int


Target = Classes | Values


@dataclass(frozen=True)
class Column:
    """A feature of an uploaded table.

    A numeric column is one input; a boolean or categorical one is an input a category, 1 where it
    applies (one-hot), and one more when the data have rows without a value (``missing``).
    """

    name: str
    kind: Literal["numeric", "boolean", "categorical"]
    categories: tuple[str, ...] = ()
    missing: bool = False

    @property
    def width(self) -> int:
        """How many inputs it is."""
        return 1 if self.kind == "numeric" else len(self.categories) + self.missing


@dataclass(frozen=True)
class Facts:
    """What is known of a data set before it is read.

    ``image_scale`` is the largest raw pixel value; ``None`` for data that are not images.
    ``columns``: those of an uploaded table; other data have none.
    """

    rows: int
    input_shape: Shape
    target: Target
    image_scale: float | None = None
    inline: bool = False
    columns: tuple[Column, ...] = ()


BUNDLED: dict[str, Facts] = {
    "digits": Facts(
        1797,
        (1, 8, 8),
        Classes(tuple(range(10)), (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)),
        image_scale=16.0,
    ),
    "iris": Facts(150, (4,), Classes(("setosa", "versicolor", "virginica"), (50, 50, 50))),
    "wine": Facts(178, (13,), Classes(("class_0", "class_1", "class_2"), (59, 71, 48))),
    "breast_cancer": Facts(569, (30,), Classes(("malignant", "benign"), (212, 357))),
    "diabetes": Facts(442, (10,), Values(1)),
}
ABOUT: dict[str, str] = {
    "digits": "Images of handwritten digits, 8 by 8 pixels, and which digit each shows.",
    "iris": "Lengths and widths of the sepals and petals of irises, and their species.",
    "wine": "Thirteen chemical measurements of wines, and which of three growers made each.",
    "breast_cancer": "Thirty measurements of cell nuclei, and whether the tumour is malignant.",
    "diabetes": "Ten measurements of patients, and how far the disease had come a year later.",
}
"""A sentence for each."""
