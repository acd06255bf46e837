"""The words of a job specification and what they mean. Imports no torch.

A word is a frozen pydantic model: its fields are its arguments (PyTorch's own names), its methods
are the rules that can be had without computing anything: the shape a layer puts out, the parameters
it owns, whether a loss fits a target.
"""

from training.catalog.base import Buffer, Config, Shape, ShapeError
from training.catalog.datasets import ABOUT, BUNDLED, Classes, Column, Facts, Target, Values
from training.catalog.inits import INITS, Parameter
from training.catalog.layers import LAYERS, Layer
from training.catalog.losses import LOSSES, Loss
from training.catalog.metrics import DEFAULT_METRICS, METRICS, Metric
from training.catalog.optimizers import OPTIMIZERS, Optimizer
from training.catalog.preparations import PREPARATIONS, Prepare
from training.catalog.schedules import SCHEDULES, Schedule

__all__ = [
    "ABOUT",
    "BUNDLED",
    "DEFAULT_METRICS",
    "INITS",
    "LAYERS",
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "PREPARATIONS",
    "SCHEDULES",
    "Buffer",
    "Classes",
    "Column",
    "Config",
    "Facts",
    "Layer",
    "Loss",
    "Metric",
    "Optimizer",
    "Parameter",
    "Prepare",
    "Schedule",
    "Shape",
    "ShapeError",
    "Target",
    "Values",
]
