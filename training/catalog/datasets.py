"""Bundled data sets: the facts that validation needs, without loading anything.

The data come with scikit-learn; a test holds these facts against them.
"""

from dataclasses import dataclass

from training.catalog.words import Shape


@dataclass(frozen=True)
class Classes:
    """A target that is one of several labels, in the order of the network's outputs."""

    labels: tuple[int | str, ...]


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
    "digits": Facts(1797, (1, 8, 8), Classes(tuple(range(10))), image_scale=16.0),
    "iris": Facts(150, (4,), Classes(("setosa", "versicolor", "virginica"))),
    "wine": Facts(178, (13,), Classes(("class_0", "class_1", "class_2"))),
    "breast_cancer": Facts(569, (30,), Classes(("malignant", "benign"))),
    "diabetes": Facts(442, (10,), Values(1)),
}
