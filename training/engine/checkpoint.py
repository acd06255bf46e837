"""Checkpoints as bytes."""

from dataclasses import asdict

from training.engine.blocks import Checkpoint, Weights
from training.engine.stopping import Counters
from training.step.step import State
from training.tensors.numerics import Numerics
from training.tensors.tensor_file import pack, prefixed, under, unpack

FORMAT = "fallline checkpoint 1"


def encode(checkpoint: Checkpoint) -> bytes:
    """All that ``decode`` needs for going on to the bit."""
    state, best = checkpoint.state, checkpoint.best
    tensors = {"parameters": state.parameters}
    tensors |= prefixed("buffers", state.buffers) | prefixed("slots", state.slots)
    if best is not None:
        tensors |= {"best_parameters": best.parameters} | prefixed("best_buffers", best.buffers)
    return pack(
        tensors,
        {
            "format": FORMAT,
            "iteration": checkpoint.iteration,
            "counters": asdict(checkpoint.counters),
        },
    )


def decode(content: bytes, numerics: Numerics) -> Checkpoint:
    """The checkpoint in ``content``, on the job's device; raises ``UnreadableFile``."""
    loaded, facts = unpack(content, expected=FORMAT)
    tensors = {name: tensor.to(numerics.device) for name, tensor in loaded.items()}
    state = State(tensors["parameters"], under("buffers", tensors), under("slots", tensors))
    best = None
    if "best_parameters" in tensors:
        best = Weights(tensors["best_parameters"], under("best_buffers", tensors))
    counters = facts["counters"] | {"tail": tuple(facts["counters"]["tail"])}
    return Checkpoint(facts["iteration"], state, Counters(**counters), best)
