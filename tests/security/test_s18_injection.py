"""S18 and S6: no data becomes code. No shell, no eval, no pickle, no template of a stranger's.

The rules are about what a name stands for, so they follow it through every way of importing it.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.databases import ROOT
from tests.test_architecture import SOURCES, place

CODE_FROM_DATA = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("jinja2", "mako", "code", "codeop", "runpy", "pty", "commands"),  # interpreters and shells
}
"""Whoever reads a file or a message with these runs what is in it."""
UNSAFE_CALLS = {
    *("eval", "exec", "compile", "__import__", "input"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("asyncio.create_subprocess_shell", "asyncio.subprocess.create_subprocess_shell"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
    *("torch.load", "torch.save", "torch.serialization.load", "torch.serialization.save"),
    *("torch.hub.load", "torch.package.PackageImporter", "types.CodeType", "types.FunctionType"),
    *("sqlalchemy.PickleType", "sqlalchemy.types.PickleType"),
}
UNSAFE_METHODS = {"read_pickle", "to_pickle", "subprocess_shell", "from_string", "format_map"}
"""Of whatever object."""
SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "csh", "fish", "cmd", "cmd.exe", "powershell"}
WRITTEN_DOWN = {
    ("app/api/responses/problem_details.py", "the format text"),
    ("training/spec/mistakes.py", "the format text"),
}
"""Formats out of a table that stands above them."""
STARTERS = ("subprocess.", "os.exec", "os.spawn", "os.posix_spawn", "asyncio.create_subprocess")


def test_nothing_turns_data_into_code() -> None:
    found = [
        f"{place(file, node)} {why}"
        for file in SOURCES
        for node, why in unsafe(ast.parse(file.read_text(), str(file)))
        if (str(file.relative_to(ROOT)), why) not in WRITTEN_DOWN
    ]
    assert found == []


def unsafe(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """What is wrong with a module, and where."""
    names = imported(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                modules = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                whole = (f"{module}.{alias.name}" for alias in aliases)
                modules = [module, *(name.removeprefix("builtins.") for name in whole)]
            case ast.Name() | ast.Attribute() if (name := meant(node, names)) in UNSAFE_CALLS:
                modules = []
                yield node, name
            case ast.Call():
                modules = []
                yield from ((node, why) for why in called(node, names))
            case _:
                continue
        for module in modules:
            if module.split(".")[0] in CODE_FROM_DATA or module in UNSAFE_CALLS:
                yield node, module


def called(call: ast.Call, names: dict[str, str]) -> Iterator[str]:
    """What is wrong with one call."""
    name = meant(call.func, names)
    if isinstance(call.func, ast.Attribute) and call.func.attr in UNSAFE_METHODS:
        yield call.func.attr
    for keyword in call.keywords:
        if keyword.arg in {"allow_pickle", "shell"} and not is_false(keyword.value):
            yield f"{keyword.arg}={ast.unparse(keyword.value)}"
    if name in {"numpy.load", "numpy.save"} and len(call.args) > 2:
        yield f"{name} with allow_pickle"
    if name.startswith(STARTERS):
        yield from (f"{name} {word}" for word in words(call) if word.rpartition("/")[2] in SHELLS)
    # A format that is data reads the attributes of what is put into it.
    match call.func:
        case ast.Attribute(value=text, attr="format") if not constant(text):
            yield f"the format {ast.unparse(text)}"


def imported(tree: ast.Module) -> dict[str, str]:
    """What each name of a module's imports stands for."""
    names = {"__builtins__": "builtins"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def meant(node: ast.AST, names: dict[str, str]) -> str:
    """``os.system`` of ``o.system`` after ``import os as o``; nothing for what has no name."""
    steps: list[str] = []
    while isinstance(node, ast.Attribute):
        steps.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    steps.append(names.get(node.id, node.id))
    return ".".join(reversed(steps)).removeprefix("builtins.")


def words(call: ast.Call) -> Iterator[str]:
    """The strings that are written down in a call's arguments."""
    for node in ast.walk(call):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def constant(text: ast.expr) -> bool:
    """Whether a format is written down: here, or under a name for what does not change."""
    return isinstance(text, ast.Constant) or (isinstance(text, ast.Name) and text.id.isupper())


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from joblib import load", "import os, _pickle as p"),
        *("eval(text)", "exec(text)", "map(eval, lines)", "import builtins; builtins.exec(text)"),
        *("__builtins__.eval(text)", "compile(text, '', 'eval')", "from builtins import eval as e"),
        *("os.system(text)", "import os as o; o.system(text)", "from os import system"),
        *("run = os.popen", "from subprocess import getoutput as got", "import pty"),
        *("subprocess.run(command, shell=True)", "subprocess.run(command, shell=flag)"),
        *("subprocess.run(['sh', '-c', text])", "import os; os.execvp('/bin/bash', ['bash'])"),
        "from subprocess import Popen; Popen(('/usr/bin/env', 'sh', '-c', text))",
        *("asyncio.create_subprocess_shell(command)", "loop.subprocess_shell(protocol, text)"),
        *(
            "torch.load(path, weights_only=True)",
            "from torch import load",
            "import torch as t;t.save",
        ),
        *("np.load(path, allow_pickle=flag)", "import numpy as np; np.load(path, None, True)"),
        *(
            "pandas.read_pickle(path)",
            "from sqlalchemy import PickleType",
            "yaml.unsafe_load(text)",
        ),
        *("from jinja2 import Template", "environment.from_string(text)", "import runpy"),
        *("text.format(job=job)", "error['text'].format(**context)", "text.format_map(context)"),
    ],
)
def test_the_rule_above_sees(line: str) -> None:
    assert list(unsafe(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        *(
            "pattern = re.compile(text)",
            "model.load(path)",
            "json.load(file)",
            "safetensors.torch.load",
        ),
        *("'{a}'.format(a=a)", "REFERENCE.format(model=name)", "subprocess.run([program, text])"),
        *("subprocess.run(command, shell=False)", "np.load(path, allow_pickle=False)"),
    ],
)
def test_the_rule_above_lets_pass(line: str) -> None:
    assert list(unsafe(ast.parse(line))) == []
