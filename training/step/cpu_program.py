"""A graph of kernels as a program over fixed memory: what a CUDA graph is for a GPU, for a CPU.

A graph that is run as it was traced makes every tensor anew, and every view of it: for a tiny model
that costs more than the kernels. Here each kernel is given its inputs and its place for the output
once and for all, views are made once, and memory whose content is no longer needed is used again.
The kernels, their order and their operands are those of the graph, so the bits are too.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Graph, Node
from torch.fx.node import map_arg

from training.functional.adam_kernel import ADAM, adam_into

MADE = frozenset({"ones_like", "zeros_like", "full_like", "new_zeros", "new_ones", "new_full"})
"""Operations whose result depends on the shape of their input alone."""
POINTWISE = frozenset(
    {
        "add",
        "sub",
        "mul",
        "div",
        "rsqrt",
        "reciprocal",
        "lerp",
        "maximum",
        "addcmul",
        "addcdiv",
        "adam",
    }
)
"""Operations that may write over an input of the same shape."""

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Program:
    """The kernels of ``graph`` over ``inputs``, the tensors that it reads and, of those that are
    ``carried``, writes: output number to input number, for what the next run begins with.

    A run leaves its results in ``outputs``, where the next one overwrites them.
    """

    def __init__(self, graph: Graph, inputs: Sequence[Tensor], carried: Mapping[int, int]) -> None:
        self.nodes = [node for node in graph.nodes if node.op == "call_function"]
        self.order = {node: i for i, node in enumerate(graph.nodes)}
        holders = [node for node in graph.nodes if node.op == "placeholder"]
        (end,) = (node for node in graph.nodes if node.op == "output")
        self.results: list[Node] = list(end.args[0])
        self.values: dict[Node, Any] = dict(zip(holders, inputs, strict=True))
        self.roots: dict[Node, Node] = {node: node for node in holders}
        self.carried = {self.results[i]: holders[j] for i, j in carried.items()}
        self.shapes = self.tried()
        self.last = self.last_uses()
        self.free: dict[tuple[int, torch.dtype], list[Tensor]] = {}
        self.calls: list[Call] = []
        self.place()
        self.outputs = [self.values[node] for node in self.results]

    def __call__(self) -> None:
        """Runs it once."""
        for kernel, arguments, named in self.calls:
            kernel(*arguments, **named)

    def tried(self) -> dict[Node, Any]:
        """The graph run once as it is, for the shapes of its values; what is the same in every run
        is kept, and what shares its memory with another value is noted."""
        values = dict(self.values)
        constant: set[Node] = set()
        for node in self.nodes:
            values[node] = node.target(
                *map_arg(node.args, values.__getitem__), **map_arg(node.kwargs, values.__getitem__)
            )
            sources = node.all_input_nodes
            made = isinstance(node.target, OpOverload) and name(node.target) in MADE
            if made or not tensors(values[node]) or all(n in constant for n in sources):
                constant.add(node)
                self.values[node] = values[node]
            else:
                self.roots[node] = self.roots[sources[0]] if shares(node) else node
        return values

    def last_uses(self) -> dict[Node, int]:
        """Where in the graph the memory of a value is needed for the last time; of what is not
        needed at all there is no entry."""
        last = {self.roots[node]: len(self.order) for node in self.results if node in self.roots}
        for node in reversed(self.nodes):
            if self.roots.get(node) not in last:
                continue
            for source in node.all_input_nodes:
                if source in self.roots:
                    last.setdefault(self.roots[source], self.order[node])
        return last

    def place(self) -> None:
        """Gives every value its memory and every kernel its operands."""
        held: list[tuple[int, Tensor]] = []
        for node in self.nodes:
            if node in self.values or self.roots[node] not in self.last:
                continue
            arguments = map_arg(node.args, self.values.__getitem__)
            named = map_arg(node.kwargs, self.values.__getitem__)
            if shares(node):
                self.values[node] = node.target(*arguments, **named)
                continue
            found = self.shapes[node]
            homes = []
            for i, like in enumerate(tensors(found)):
                home = self.home(node, result(node, i))
                if home is None:
                    memory = self.memory(like)
                    held.append((self.last[node], memory))
                    home = memory.as_strided(like.shape, like.stride())
                homes.append(home)
            self.values[node] = tuple(homes) if isinstance(found, tuple) else homes[0]
            self.calls.append(call(node.target, arguments, named, homes))
            for until, memory in held:
                if until <= self.order[node]:
                    self.free.setdefault((len(memory), memory.dtype), []).append(memory)
            held = [entry for entry in held if entry[0] > self.order[node]]
        for node, holder in self.carried.items():
            here, there = self.values[node], self.values[holder]
            if here is not there:
                self.calls.append((torch.ops.aten.copy_.default, (there, here), {}))

    def home(self, node: Node, result: Node | None) -> Tensor | None:
        """Where a result is carried to, if it can be written there while it is computed."""
        holder = None if result is None else self.carried.get(result)
        if holder is None or name(node.target) not in POINTWISE:
            return None
        if self.last.get(holder, -1) > self.order[node]:
            return None  # the old value is still to be read
        home: Tensor = self.values[holder]
        return home

    def memory(self, like: Tensor) -> Tensor:
        """Room for a tensor: what is no longer needed, or new."""
        room = like.untyped_storage().nbytes() // like.element_size()
        spare = self.free.get((room, like.dtype))
        return spare.pop() if spare else like.new_empty(room)


def name(target: Any) -> str:
    """An operation without its overload."""
    packet: str = target.overloadpacket.__name__
    return packet


def tensors(value: Any) -> list[Tensor]:
    """The tensors of a result; none of a number."""
    found = value if isinstance(value, tuple | list) else (value,)
    return [part for part in found if isinstance(part, Tensor)]


def result(node: Node, i: int) -> Node | None:
    """Result ``i`` of a kernel: where there are several each is taken out by a node of its own."""
    out = [user for user in node.users if user.target is operator.getitem]
    return next((user for user in out if user.args[1] == i), None) if out else node


def shares(node: Node) -> bool:
    """Whether a result lies in the memory of the first operand."""
    if not isinstance(node.target, OpOverload):
        return node.target is operator.getitem
    if name(node.target) == "_unsafe_view":
        return True
    returns = node.target._schema.returns
    return any(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def call(target: Any, arguments: Any, named: Any, homes: list[Tensor]) -> Call:
    """A kernel that writes into ``homes``; one that can only return has its result copied."""
    if target is ADAM:
        return adam_into(arguments[:4], arguments[4:], homes), (), {}
    found = into(target)
    if found is not None:
        kernel, places = found
        return kernel, arguments, {**named, **dict(zip(places, homes, strict=True))}

    def copied(*arguments: Any, **named: Any) -> None:
        for home, made in zip(homes, tensors(target(*arguments, **named)), strict=True):
            home.copy_(made)

    return copied, arguments, named


def into(target: OpOverload) -> tuple[Callable[..., Any], list[str]] | None:
    """The same operation with given tensors for its results, and what it calls them."""
    operation = target._schema.name
    wanted = [(a.name, str(a.type)) for a in target._schema.arguments]
    for schema in torch._C._jit_get_schemas_for_operator(operation):
        results = [a.name for a in schema.arguments if a.is_out]
        if results and wanted == [(a.name, str(a.type)) for a in schema.arguments if not a.is_out]:
            kernel, _, _ = torch._C._get_operation_overload(operation, schema.overload_name)
            return kernel, results
    return None
