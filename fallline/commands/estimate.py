"""`fallline jobs validate`: what a specification would run, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from fallline.terminal.output import Form, Printer, Row, flat


def show_plan(plan: Mapping[str, Any], form: Form) -> None:
    """As a table what it costs, then its layers; as CSV the layers; else all of it."""
    printer = Printer(form)
    if form is Form.TABLE:
        costs = {name: value for name, value in plan.items() if name not in {"layers", "spec"}}
        printer.one(Row(plan, flat(costs)))
        typer.echo()
    if form in {Form.TABLE, Form.CSV}:
        printer.rows(layer_rows(plan["layers"]))
    else:
        printer.one(Row(plan, {}))


def layer_rows(layers: list[dict[str, Any]]) -> Iterator[Row]:
    """A row for each layer, those inside of a block after it."""
    for layer in layers:
        cells = {
            "layer": layer["path"],
            "type": layer["type"],
            "input": shape(layer["input_shape"]),
            "output": shape(layer["output_shape"]),
            "parameters": layer["parameters"],
            "flops": layer["flops"],
        }
        yield Row(layer, cells)
        yield from layer_rows(layer["layers"])


def shape(sizes: list[int]) -> str:
    """A shape as it is read aloud: 1×8×8."""
    return "×".join(map(str, sizes))
