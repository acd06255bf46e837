"""Bundled data sets: the facts that validation needs, without loading anything.

The data come with scikit-learn; a test holds these facts against them.
"""

from dataclasses import dataclass

from training.catalog.words import Shape


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
class Facts:
    """What is known of a data set before it is read.

    ``image_scale`` is the largest raw pixel value; ``None`` for data that are not images.
    """

    rows: int
    input_shape: Shape
    target: Target
    image_scale: float | None = None
    inline: bool = False


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
