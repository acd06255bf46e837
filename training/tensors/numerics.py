"""The one place that decides where tensors live, how wide they are, and what makes bits equal."""

import ctypes
import hashlib
import os
import platform
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Else a matrix product has other bits where its operands begin elsewhere in memory. MKL reads
# this when it is first used, which may be before ``configure``.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

ENGINE_VERSION = 3
"""Raised whenever the engine gives a job other bits than before, by another order of operations or
of memory: a job that was begun before then says so."""
M_MMAP_THRESHOLD = -3
"""From glibc's malloc.h."""


@dataclass(frozen=True)
class Numerics:
    """Device and floating-point types of one job; every tensor of a job is made here.

    ``layers``: in what the layers of a training step compute, where that is narrower than what
    weights, loss and optimizer are kept in.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    layers: torch.dtype | None = None

    @classmethod
    def on(
        cls,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        precision: Literal["fp32", "bf16", "auto"] = "fp32",
    ) -> "Numerics":
        """``auto`` is CUDA where there is one; ``Unavailable``: bf16 on a device without."""
        kind = available_device() if device == "auto" else device
        return cls(torch.device(kind)).at(precision)

    def at(self, precision: Literal["fp32", "bf16", "auto"]) -> "Numerics":
        """The same with layers of this precision."""
        kind: Literal["cpu", "cuda"] = "cuda" if self.device.type == "cuda" else "cpu"
        narrow = narrows(precision, kind, has_bf16=has_bf16(kind))
        return replace(self, layers=torch.bfloat16 if narrow else None)

    @property
    def precision(self) -> Literal["fp32", "bf16"]:
        """What was chosen."""
        return "fp32" if self.layers is None else "bf16"

    def narrowed(self) -> AbstractContextManager[Any]:
        """Where the forward pass of a training step runs: matrix products and convolutions are
        computed in ``layers``, and what would suffer (sums, logarithms) in float32.

        Nothing is cached between operations: a cached tensor would be a constant of the trace.
        """
        if self.layers is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.layers, cache_enabled=False)

    def floats(self, values: NDArray[Any]) -> Tensor:
        """A tensor of this job's floating-point type, rounded once from ``values``."""
        return self.sent(torch.from_numpy(np.ascontiguousarray(values)).to(self.dtype))

    def integers(self, values: NDArray[Any]) -> Tensor:
        """Indices, labels and counters: int64."""
        return self.sent(torch.from_numpy(np.ascontiguousarray(values)).to(torch.int64))

    def sent(self, tensor: Tensor) -> Tensor:
        """To the device, which is not waited for: from pages that stay where they are."""
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def fetched(self, tensor: Tensor) -> Tensor:
        """A copy in the memory of the host; it holds what it is to hold after ``settled``."""
        place = torch.empty_like(tensor, device="cpu", pin_memory=self.device.type == "cuda")
        return place.copy_(tensor, non_blocking=True)

    def settled(self) -> None:
        """Waits until the device has done all it was told to."""
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()

    def zeros(self, *shape: int) -> Tensor:
        """Zeros of this job's floating-point type."""
        return torch.zeros(shape, device=self.device, dtype=self.dtype)

    def fingerprint(self) -> str:
        """Equal fingerprints promise equal bits: versions, device, instruction set, threads."""
        facts = [
            f"engine {ENGINE_VERSION}",
            f"torch {torch.__version__}",
            f"numpy {np.__version__}",
            platform.machine(),
            str(self.dtype),
            f"layers {self.layers or self.dtype}",
            f"threads {torch.get_num_threads()}",
            f"MKL {os.environ['MKL_CBWR']}",
        ]
        if self.device.type == "cuda":
            facts += [torch.cuda.get_device_name(self.device), f"cuda {torch.version.cuda}"]
        else:
            facts += [processor(), torch.backends.cpu.get_cpu_capability()]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def available_device() -> Literal["cpu", "cuda"]:
    """The best device of this process."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Unavailable(RuntimeError):
    """This process cannot compute as the job asks; the message says why."""


def narrows(
    precision: Literal["fp32", "bf16", "auto"], device: Literal["cpu", "cuda"], *, has_bf16: bool
) -> bool:
    """Whether layers compute in bfloat16: ``auto`` chooses it only where it is fast."""
    if precision == "bf16" and not has_bf16:
        raise Unavailable(f"this {device} device has no bfloat16; use precision fp32 or auto")
    return precision == "bf16" or (precision == "auto" and device == "cuda" and has_bf16)


def has_bf16(device: Literal["cpu", "cuda"]) -> bool:
    """Whether a device computes in bfloat16 itself; a CPU can always, if slowly."""
    return device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)


def processor() -> str:
    """The model of the CPU; kernels choose their blocking by it."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):  # not Linux, or a CPU that names no model
        return platform.processor()


def large_tensors_apart() -> None:
    """Lets every large tensor have memory of its own, which is given back with it.

    glibc would put tensors of up to 32 MB into one heap, whose gaps cost more than twice what a job
    needs, and which keeps what it once had. Huge pages make up for the mapping (and more: a job
    with tensors over 32 MB, mapped anyway, becomes twice as fast).
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch at its first allocation
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, 4 * 2**20)


def configure(threads: int = 1) -> None:
    """Makes this process compute reproducibly; call it once, before the first tensor.

    One thread a process: several only slow tiny models down, and sums depend on their number.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    large_tensors_apart()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    if available_device() == "cuda":
        # A warning, not an error: torch calls max_pool2d's backward on CUDA nondeterministic for
        # its atomic additions, though windows that do not overlap add to each place only once.
        # On one CPU thread everything is deterministic, and this call would import the compiler.
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
