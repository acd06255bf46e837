"""The one place that decides where tensors live, how wide they are, and what makes bits equal."""

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Numerics:
    """Device and floating-point type of one job; every tensor of a job is made here."""

    device: torch.device
    dtype: torch.dtype = torch.float32

    @classmethod
    def on(cls, device: Literal["auto", "cpu", "cuda"] = "auto") -> "Numerics":
        """``auto`` is CUDA when there is one."""
        kind = available_device() if device == "auto" else device
        return cls(torch.device(kind))

    def floats(self, values: NDArray[Any]) -> Tensor:
        """A tensor of this job's floating-point type, rounded once from ``values``."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def integers(self, values: NDArray[Any]) -> Tensor:
        """Indices, labels and counters: int64."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, torch.int64)

    def zeros(self, *shape: int) -> Tensor:
        """Zeros of this job's floating-point type."""
        return torch.zeros(shape, device=self.device, dtype=self.dtype)

    def fingerprint(self) -> str:
        """Equal fingerprints promise equal bits: versions, device, instruction set, threads."""
        facts = [
            f"torch {torch.__version__}",
            f"numpy {np.__version__}",
            platform.machine(),
            str(self.dtype),
            f"threads {torch.get_num_threads()}",
        ]
        if self.device.type == "cuda":
            facts += [torch.cuda.get_device_name(self.device), f"cuda {torch.version.cuda}"]
        else:
            facts += [processor(), torch.backends.cpu.get_cpu_capability()]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def available_device() -> Literal["cpu", "cuda"]:
    """The best device of this process."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def processor() -> str:
    """The model of the CPU; kernels choose their blocking by it."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):  # not Linux, or a CPU that names no model
        return platform.processor()


def configure(threads: int = 1) -> None:
    """Makes this process compute reproducibly; call it once, before the first tensor.

    One thread a process: several only slow tiny models down, and sums depend on their number.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
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
