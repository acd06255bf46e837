"""Counted randomness: every draw is a function of what it is for, none of what came before.

The generator is Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a keyed
bijection of a counter. The key is derived from the purpose, the counter from the iteration; only
raw 64-bit words are used, because numpy guarantees those to stay what they are.
"""

import hashlib
import math

import numpy as np
import torch
from numpy.typing import NDArray

from training.catalog.inits import Constant, Normal, Orthogonal, Parameter, Uniform


def words(count: int, *purpose: int | str, counter: int = 0) -> NDArray[np.uint64]:
    """``count`` raw words of the stream with this purpose; counters never overlap."""
    digest = hashlib.sha256(repr(purpose).encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8")
    philox = np.random.Philox(counter=[0, counter, 0, 0], key=key)
    raw: NDArray[np.uint64] = philox.random_raw(count)
    return raw


def uniform(count: int, *purpose: int | str, counter: int = 0) -> NDArray[np.float64]:
    """Uniform on [0, 1): the upper 53 bits of each word."""
    upper = words(count, *purpose, counter=counter) >> np.uint64(11)
    return upper.astype(np.float64) * 2.0**-53


def normal(count: int, *purpose: int | str, counter: int = 0) -> NDArray[np.float64]:
    """Normal with mean 0 and deviation 1, by Box and Muller 1958: two words give two numbers."""
    half = -(-count // 2)
    drawn = uniform(2 * half, *purpose, counter=counter)
    radius = np.sqrt(-2.0 * np.log1p(-drawn[:half]))  # 1 − u lies in (0, 1]: its log is finite
    angle = 2.0 * np.pi * drawn[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def orthogonal(drawn_RC: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orthogonal factor of a matrix of normal numbers, as ``torch.nn.init.orthogonal_`` has it.

    The signs of R's diagonal are moved into it: only so every orthogonal matrix is equally likely
    (Mezzadri 2007). By torch, whose number of threads is part of the fingerprint.
    """
    wide = drawn_RC.shape[0] < drawn_RC.shape[1]
    q, r = torch.linalg.qr(torch.from_numpy(drawn_RC.T if wide else drawn_RC))
    q = q * r.diagonal().sign()
    found: NDArray[np.float64] = (q.T if wide else q).contiguous().numpy()
    return found


def permutation(n: int, *purpose: int | str, counter: int = 0) -> NDArray[np.int64]:
    """A uniformly random order of 0 … n−1 (ties between 64-bit words do not happen)."""
    order = np.argsort(words(n, *purpose, counter=counter))
    return order.astype(np.int64, copy=False)


def initial(parameter: Parameter, seed: int, name: str) -> NDArray[np.float64]:
    """The first value of a parameter: a function of the seed and its name alone."""
    init, shape, purpose = parameter.init, parameter.shape, (seed, "init", name)
    size = math.prod(shape)
    match init:
        case Constant():
            values = np.full(shape, init.value)
        case Uniform():
            values = (init.a + (init.b - init.a) * uniform(size, *purpose)).reshape(shape)
        case Normal():
            values = (init.mean + init.std * normal(size, *purpose)).reshape(shape)
        case Orthogonal():
            drawn = normal(size, *purpose).reshape(shape[0], -1)
            values = init.gain * orthogonal(drawn).reshape(shape)
    if parameter.zero_row is not None:
        values[parameter.zero_row] = 0.0
    return values


def dropout_mask(
    p: float, shape: tuple[int, ...], seed: int, path: str, iteration: int
) -> NDArray[np.float64]:
    """0 with probability ``p``, else 1/(1 − p); 32 random bits decide each element."""
    size = math.prod(shape)
    raw = words(-(-size // 2), seed, "noise", path, counter=iteration).view(np.uint32)[:size]
    return ((raw >= p * 2.0**32) / (1.0 - p)).reshape(shape)


class BatchStream:
    """The endless concatenation of the epochs' permutations, cut into full batches.

    Batch n is positions [nB, (n+1)B); so every batch has B rows and shapes are static.
    """

    def __init__(self, rows: int, batch_size: int, seed: int) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.epochs: dict[int, NDArray[np.int64]] = {}

    def indices(self, first: int, count: int) -> NDArray[np.int64]:
        """The rows of batches ``first`` … ``first + count − 1``: [count, B]."""
        start, stop = first * self.batch_size, (first + count) * self.batch_size
        epochs = range(start // self.rows, -(-stop // self.rows))
        order = np.concatenate([self.epoch(e) for e in epochs])
        offset = epochs.start * self.rows
        return order[start - offset : stop - offset].reshape(count, self.batch_size)

    def epoch(self, number: int) -> NDArray[np.int64]:
        """The order of one epoch; the newest few are kept."""
        if number not in self.epochs:
            if len(self.epochs) > 4:
                self.epochs.clear()
            self.epochs[number] = permutation(self.rows, self.seed, "order", counter=number)
        return self.epochs[number]
