"""A graph for any number of jobs, made of traces of a few.

A tracer that is told that a size is unknown reasons about every shape it meets, and takes several
times as long as one that sees numbers. So the step is traced with a few numbers of jobs. The traces
must call the same kernels; where their arguments differ these are sizes, and a line through them is
what they are for K jobs.
"""

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import Graph, Node


class Unlike(ValueError):
    """Traces that are not one graph for several numbers of jobs."""


def for_any(traces: Mapping[int, Graph]) -> Graph:
    """The graph of which these are the traces, by the number of jobs. It takes that number from the
    first axis of its first argument; raises ``Unlike`` when there is no such graph."""
    return Generalized(traces).graph


class Generalized:
    """What is being made of the traces."""

    def __init__(self, traces: Mapping[int, Graph]) -> None:
        self.sizes = list(traces)
        self.graph = Graph()
        self.made: dict[Node, Node] = {}
        self.jobs: Node | None = None
        for trace in traces.values():
            trace.eliminate_dead_code()
        if len({len(trace.nodes) for trace in traces.values()}) > 1:
            raise Unlike("the traces differ in length")
        for nodes in zip(*(trace.nodes for trace in traces.values()), strict=True):
            self.add(nodes)

    def add(self, nodes: tuple[Node, ...]) -> None:
        """The node that stands for these, one of each trace."""
        ((kind, target), *others) = {(node.op, node.target) for node in nodes}
        if others:
            raise Unlike(f"{target} in one trace is {others[0][1]} in another")
        if kind != "placeholder" and self.jobs is None:
            first = next(iter(self.graph.nodes))
            self.jobs = self.graph.call_function(torch.ops.aten.sym_size.int, (first, 0))
        arguments = self.of([node.args for node in nodes])
        named = self.of([node.kwargs for node in nodes])
        made = self.graph.create_node(kind, target, arguments, named)
        self.made |= dict.fromkeys(nodes, made)

    def of(self, found: list[Any]) -> Any:
        """What stands for these arguments, one of each trace."""
        first = found[0]
        if isinstance(first, Node):
            (node,) = {self.made[one] for one in found}
            return node
        if isinstance(first, list | tuple):
            return type(first)(map(self.of, map(list, zip(*found, strict=True))))
        if isinstance(first, dict):
            return {name: self.of([one[name] for one in found]) for name in first}
        if all(one == first for one in found):
            return first
        return self.size(found)

    def size(self, found: list[Any]) -> Node:
        """A size that depends on the number of jobs."""
        if not all(type(one) is int for one in found):
            raise Unlike(f"{found} are no sizes")
        slope, rest = divmod(found[1] - found[0], self.sizes[1] - self.sizes[0])
        start = found[0] - slope * self.sizes[0]
        if rest or any(one != slope * k + start for one, k in zip(found, self.sizes, strict=True)):
            raise Unlike(f"{found} are not on a line for {self.sizes} jobs")
        product = self.graph.call_function(operator.mul, (self.jobs, slope))
        return self.graph.call_function(operator.add, (product, start))
