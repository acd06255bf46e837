"""S7, class names out of a client's JSON: words are a closed set, looked up in no library.

A word that is not in the catalogue is a 422 which points at it, however much it looks like a name
that Python could import.
"""

import ast
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.talk import TINY, mistakes
from tests.databases import ROOT
from tests.service import Service
from tests.test_architecture import SOURCES

NAMES = (
    *("torch.nn.Linear", "torch.nn.modules.linear.Linear", "nn.Linear", "Linear", "LINEAR"),
    *(
        "builtins.eval",
        "os.system",
        "subprocess.Popen",
        "posix.system",
        "torch.load",
        "torch.hub.load",
    ),
    *("__class__", "__init__", "__reduce__", "__import__", "__builtins__", "__subclasses__"),
    *("linear.__init__", "linear.__class__", "linear\x20", "linear.", ".linear", "linear:relu"),
    *("torch.optim.SGD", "torch.nn.functional.relu", "keras.layers.Lambda", "lambda", "Lambda"),
    *(
        "training.catalog",
        "app.config.Settings",
        "worker.process.worker_process:current",
        "numpy.load",
    ),
    *("../linear", "file:linear", "{{linear}}", "${linear}", "linear()", "LinearLayer", "Word"),
)
LINEAR = {"type": "linear", "out_features": 1}


def at_every_place(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Specifications with the name where a word is expected, and the pointer to it."""
    yield "/model/0", {"model": [name]}
    yield "/model/0/type", {"model": [{"type": name}]}
    yield "/model/0/type", {"model": [{"type": name, "out_features": 1, "args": ["id"]}]}
    yield "/model/0/init", {"model": [{**LINEAR, "init": name}]}
    yield "/model/0/init/type", {"model": [{**LINEAR, "init": {"type": name}}]}
    yield "/loss", {"loss": name}
    yield "/loss/type", {"loss": {"type": name}}
    yield "/optimizer", {"optimizer": name}
    yield "/optimizer/type", {"optimizer": {"type": name, "lr": 0.1}}
    yield "/schedule", {"schedule": name}
    yield "/schedule/type", {"schedule": {"type": name}}
    yield "/dataset", {"dataset": name}
    yield "/prepare", {"prepare": name}
    yield "/device", {"device": name}
    yield "/metrics/0", {"metrics": [name]}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_word_is_refused_wherever_a_word_is_expected(
    name: str, api: Service
) -> None:
    for pointer, section in at_every_place(name):
        answer = api.http.post("/v1/jobs", json={**TINY, **section})
        found = mistakes(answer)
        assert any(at.startswith(pointer) for at in found), (section, found)


def test_a_field_that_no_word_has_is_refused_also_when_python_has_it(api: Service) -> None:
    for field in (
        "__class__",
        "__dict__",
        "__init__",
        "model_config",
        "model_fields",
        "cls",
        "self",
    ):
        found = mistakes(api.http.post("/v1/jobs", json={**TINY, "model": [{**LINEAR, field: 1}]}))
        assert found[f"/model/0/{field}"][0] == "unknown_field"


SEARCHED = ("app", "training", "worker")


def test_nothing_is_looked_up_in_a_library_by_a_name_that_is_data() -> None:
    files = [file for file in SOURCES if file.relative_to(ROOT).parts[0] in SEARCHED]
    assert len(files) > 50
    found = [
        f"{file.relative_to(ROOT)}: {why}" for file in files for why in dynamic(file.read_text())
    ]
    assert found == []


def dynamic(source: str) -> list[str]:
    """Look-ups by name, of modules and of what is in them."""
    tree = ast.parse(source)
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    # A module that holds torch may ask no object at all for a name that is not written down there.
    strict = bool(imported & {"torch", "Tensor", "nn", "optim"})
    return [ast.unparse(node) for node in ast.walk(tree) if looks_up(node, imported, strict=strict)]


def looks_up(node: ast.AST, imported: set[str], *, strict: bool) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="getattr" | "setattr"), args=[of, name, *_]):
            return not isinstance(name, ast.Constant) and (strict or root(of) in imported)
        case ast.Call(func=ast.Name(id="globals" | "locals" | "__import__")):
            return True
        case ast.Call(func=func):
            return ast.unparse(func).endswith(
                ("import_module", "attrgetter", "methodcaller", "resolve_name", "load_module")
            )
        case ast.Subscript(value=ast.Attribute(attr="__dict__" | "modules") as of):
            return root(of) in imported
        case _:
            return False


def root(node: ast.AST) -> str:
    """``torch`` of ``torch.nn.functional``."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize(
    "line",
    [
        "import torch; getattr(torch.nn, name)",
        "import torch; getattr(torch.optim, word.type)(parameters)",
        "import torch; library = torch.nn; getattr(library, name)",
        "from torch import nn; getattr(nn, name)",
        "from torchmetrics import functional as f; getattr(f, name)",
        "importlib.import_module(name)",
        "operator.attrgetter(name)(torch)",
        "globals()[name]",
        "import sys; sys.modules[name]",
        "import torch; torch.nn.__dict__[name]",
        "pkgutil.resolve_name(name)",
    ],
)
def test_the_rule_above_sees(line: str) -> None:
    assert dynamic(line)
