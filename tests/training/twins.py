"""Every layer of the catalogue beside torch's module for the same arguments."""

from typing import Any, NamedTuple

from torch import Tensor, nn

IMAGE = (4, 9, 7)
SERIES = (4, 11)


class Twin(NamedTuple):
    """Our word, torch's module, and the shape of one example; ``rows``: it looks up indices."""

    word: Any
    module: nn.Module
    shape: tuple[int, ...]
    rows: int | None = None


class Block(nn.Module):
    """A residual block as it is written by hand: F(x) + W·x."""

    def __init__(self, *layers: nn.Module, projection: nn.Module | None = None) -> None:
        super().__init__()
        self.names = [str(i) for i in range(len(layers))]
        for name, layer in zip(self.names, layers, strict=True):
            self.add_module(name, layer)
        self.projection = projection

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for name in self.names:
            y = self.get_submodule(name)(y)
        if self.projection is None:
            return y + x
        flat = isinstance(self.projection, nn.Linear)
        skip: Tensor = self.projection(x.flatten(1) if flat else x)
        return y + skip


CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "asymmetric": {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
    "same": {"kernel_size": (3, 5), "padding": "same", "dilation": (2, 1)},
    "valid": {"kernel_size": 3, "padding": "valid", "stride": 2},
    "dilated": {"kernel_size": 2, "dilation": (2, 3), "padding": 2},
    "grouped": {"kernel_size": 3, "groups": 2, "bias": False},
    "depthwise": {"kernel_size": (1, 4), "groups": 4, "stride": (3, 2)},
}
SERIES_CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "same": {"kernel_size": (5,), "padding": "same", "dilation": 2},
    "grouped": {"kernel_size": 2, "groups": 2, "bias": False, "dilation": 3},
}
POOLS: dict[str, dict[str, Any]] = {
    "asymmetric": {"kernel_size": (3, 2), "stride": (1, 2)},
    "padded": {"kernel_size": 3, "padding": 1},
    "dilated": {"kernel_size": 2, "dilation": (3, 2), "stride": 1},
    "ceil": {"kernel_size": 2, "ceil_mode": True},
    # 9 rows, padding 1: a third window of stride 5 would start at 10, in the padding at the end.
    "last window dropped": {"kernel_size": 2, "stride": (5, 4), "padding": 1, "ceil_mode": True},
}
SERIES_POOLS: dict[str, dict[str, Any]] = {
    "padded": {"kernel_size": 3, "padding": 1, "stride": 2},
    "dilated": {"kernel_size": 2, "dilation": 3, "ceil_mode": True},
}
MEANS: dict[str, dict[str, Any]] = {
    "asymmetric": {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)},
    "without padding": {"kernel_size": 3, "padding": 1, "count_include_pad": False},
    "divided": {"kernel_size": 2, "divisor_override": 3, "ceil_mode": True},
}
NORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "eps and momentum": {"eps": 1e-2, "momentum": 0.37},
    "not affine": {"affine": False, "momentum": 0.9},
    "frozen statistics": {"momentum": 0.0},
}
NORM_SHAPES: list[tuple[str, type[nn.Module], tuple[int, ...]]] = [
    ("batch_norm1d", nn.BatchNorm1d, (6,)),
    ("batch_norm1d", nn.BatchNorm1d, (6, 5)),
    ("batch_norm2d", nn.BatchNorm2d, IMAGE),
]
FUNCTIONS: dict[str, tuple[Any, nn.Module, tuple[int, ...]]] = {
    "relu": ("relu", nn.ReLU(), IMAGE),
    "tanh": ("tanh", nn.Tanh(), (6,)),
    "sigmoid": ("sigmoid", nn.Sigmoid(), (6,)),
    "silu": ("silu", nn.SiLU(), IMAGE),
    "leaky_relu": (
        {"type": "leaky_relu", "negative_slope": -0.3},
        nn.LeakyReLU(-0.3),
        (6,),
    ),
    "gelu": ("gelu", nn.GELU(), (6,)),
    "gelu by tanh": (
        {"type": "gelu", "approximate": "tanh"},
        nn.GELU(approximate="tanh"),
        (6,),
    ),
    "elu": ({"type": "elu", "alpha": 0.4}, nn.ELU(0.4), (6,)),
    "softplus": (
        {"type": "softplus", "beta": 2.5, "threshold": 1.5},
        nn.Softplus(2.5, 1.5),
        (6,),
    ),
    "softmax": ("softmax", nn.Softmax(-1), (3, 5)),
    "log_softmax": ("log_softmax", nn.LogSoftmax(-1), (3, 5)),
    "log_softmax over channels": ({"type": "log_softmax", "dim": 1}, nn.LogSoftmax(1), IMAGE),
    "softmax over channels": ({"type": "softmax", "dim": 1}, nn.Softmax(1), IMAGE),
    "flatten": ({"type": "flatten"}, nn.Flatten(), IMAGE),
    "flatten the first axes": (
        {"type": "flatten", "start_dim": 1, "end_dim": 2},
        nn.Flatten(1, 2),
        IMAGE,
    ),
    "flatten the last axes": (
        {"type": "flatten", "start_dim": 2, "end_dim": -1},
        nn.Flatten(2, -1),
        IMAGE,
    ),
    "dropout in evaluation": ({"type": "dropout", "p": 0.75}, nn.Dropout(0.75).eval(), (6,)),
}


def twins() -> dict[str, Twin]:
    """All of them, by a name for each; modules are new, with torch's own first values."""
    functions = {name: Twin(*case) for name, case in FUNCTIONS.items()}
    return {**affine(), **convolutions(), **pools(), **norms(), **blocks(), **functions}


def affine() -> dict[str, Twin]:
    linear, lookup = {"type": "linear"}, {"type": "embedding", "embedding_dim": 3}
    # The flattening owns nothing, so that the names are those of a single layer.
    flat = nn.Sequential(nn.Flatten(), nn.Linear(4 * 9 * 7, 5))
    return {
        "linear": Twin({**linear, "out_features": 5}, nn.Linear(6, 5), (6,)),
        "linear without bias": Twin(
            {**linear, "out_features": 3, "bias": False}, nn.Linear(6, 3, bias=False), (6,)
        ),
        "linear on images": Twin({**linear, "out_features": 5}, flat, IMAGE),
        "embedding": Twin({**lookup, "num_embeddings": 7}, nn.Embedding(7, 3), (5,), rows=7),
        "embedding with padding": Twin(
            {**lookup, "num_embeddings": 4, "padding_idx": -2},
            nn.Embedding(4, 3, padding_idx=-2),
            (2, 5),
            rows=4,
        ),
    }


def convolutions() -> dict[str, Twin]:
    image, series = {"type": "conv2d", "out_channels": 8}, {"type": "conv1d", "out_channels": 6}
    return {
        f"conv2d {name}": Twin({**image, **arguments}, nn.Conv2d(4, 8, **arguments), IMAGE)
        for name, arguments in CONVOLUTIONS.items()
    } | {
        f"conv1d {name}": Twin({**series, **arguments}, nn.Conv1d(4, 6, **arguments), SERIES)
        for name, arguments in SERIES_CONVOLUTIONS.items()
    }


def pools() -> dict[str, Twin]:
    kinds: list[tuple[str, Any, dict[str, dict[str, Any]], tuple[int, ...]]] = [
        ("max_pool2d", nn.MaxPool2d, POOLS, IMAGE),
        ("max_pool1d", nn.MaxPool1d, SERIES_POOLS, SERIES),
        ("avg_pool2d", nn.AvgPool2d, MEANS, IMAGE),
    ]
    found = {
        f"{word} {name}": Twin({"type": word, **arguments}, module(**arguments), shape)
        for word, module, cases, shape in kinds
        for name, arguments in cases.items()
    }
    for size in ((3, 7), (4, 3), 1, (None, 2), (12, 5)):
        word = {"type": "adaptive_avg_pool2d", "output_size": size}
        found[f"adaptive_avg_pool2d {size}"] = Twin(word, nn.AdaptiveAvgPool2d(size), IMAGE)
    return found


def norms() -> dict[str, Twin]:
    layer, group = {"type": "layer_norm"}, {"type": "group_norm", "num_groups": 2}
    return {
        f"{word} {name} {len(shape)}": Twin(
            {"type": word, **arguments}, module(shape[0], **arguments), shape
        )
        for name, arguments in NORMS.items()
        for word, module, shape in NORM_SHAPES
    } | {
        "layer_norm of all": Twin({**layer, "eps": 1e-2}, nn.LayerNorm(IMAGE, 1e-2), IMAGE),
        "layer_norm of the last axis": Twin(
            {**layer, "normalized_shape": 7, "bias": False}, nn.LayerNorm(7, bias=False), IMAGE
        ),
        "layer_norm of two axes": Twin(
            {**layer, "normalized_shape": [9, 7], "elementwise_affine": False},
            nn.LayerNorm([9, 7], elementwise_affine=False),
            IMAGE,
        ),
        "group_norm": Twin({**group, "eps": 1e-2}, nn.GroupNorm(2, 4, 1e-2), IMAGE),
        "group_norm not affine": Twin(
            {**group, "affine": False}, nn.GroupNorm(2, 6, affine=False), (6,)
        ),
    }


def blocks() -> dict[str, Twin]:
    conv = {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1}
    wide = {**conv, "out_channels": 6, "stride": (2, 3)}
    series = {"type": "conv1d", "out_channels": 5, "kernel_size": 3, "padding": 1, "stride": 2}
    linear = {"type": "linear", "out_features": 6}

    def residual(*layers: Any) -> dict[str, Any]:
        return {"type": "residual", "layers": list(layers)}

    return {
        "residual": Twin(
            residual(conv, "batch_norm2d", "relu", conv),
            Block(
                nn.Conv2d(4, 4, 3, padding=1),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Conv2d(4, 4, 3, padding=1),
            ),
            IMAGE,
        ),
        "residual with a projection": Twin(
            residual(wide, "tanh"),
            Block(
                nn.Conv2d(4, 6, 3, (2, 3), 1),
                nn.Tanh(),
                projection=nn.Conv2d(4, 6, 1, (2, 3), bias=False),
            ),
            IMAGE,
        ),
        "residual of a series": Twin(
            residual(series),
            Block(
                nn.Conv1d(4, 5, 3, 2, 1),
                projection=nn.Conv1d(4, 5, 1, 2, bias=False),
            ),
            SERIES,
        ),
        "residual of images, flat": Twin(
            residual("flatten", linear),
            Block(
                nn.Flatten(),
                nn.Linear(4 * 9 * 7, 6),
                projection=nn.Linear(4 * 9 * 7, 6, bias=False),
            ),
            IMAGE,
        ),
        "residual in a residual": Twin(
            residual(linear, residual(linear, "silu"), residual({**linear, "out_features": 3})),
            Block(
                nn.Linear(5, 6),
                Block(nn.Linear(6, 6), nn.SiLU()),
                Block(nn.Linear(6, 3), projection=nn.Linear(6, 3, bias=False)),
                projection=nn.Linear(5, 3, bias=False),
            ),
            (5,),
        ),
    }
