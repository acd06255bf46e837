"""Counted randomness: every draw is a function of what it is for, none of what came before.

The generator is Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a keyed
bijection of a counter. The key is derived from the purpose, the counter from the iteration; only
raw 64-bit words are used, because numpy guarantees those to stay what they are.
"""

import hashlib
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from training.catalog.inits import Constant, Normal, Orthogonal, Parameter, Uniform

Words = NDArray[np.uint64]

MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
ROUND_COUNT = 10
"""Of Philox4x64-10: what a round multiplies with, what is added to the key after it, how many."""
BLOCK_WORDS_COUNT = 4
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

MAX_FEW_ROWS = 128
"""Rows up to which the orders of many epochs are drawn by one call: to set a generator up for every
epoch costs more than the words of so few rows."""
MAX_BLOCK_COUNT = 1 << 13
"""Blocks of words that are drawn by one call: their memory stays in a processor's cache."""


def words(count: int, *purpose: int | str, counter: int = 0) -> NDArray[np.uint64]:
    """``count`` raw words of the stream with this purpose; counters never overlap."""
    philox = np.random.Philox(counter=[0, counter, 0, 0], key=key_of(purpose))
    raw: Words = philox.random_raw(count)
    return raw


def key_of(purpose: tuple[int | str, ...]) -> Words:
    """The key [2] of the stream with this purpose."""
    digest = hashlib.sha256(repr(purpose).encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8")


def words_of_each(count: int, *purpose: int | str, counters: range) -> Words:
    """``words(count, *purpose, counter=c)`` for every ``c`` of ``counters``: [counters, count].

    numpy sets a generator up in 10 µs, and draws a block in 10 ns; here a block takes 100 ns, and
    nothing is set up.
    """
    blocks = -(-count // BLOCK_WORDS_COUNT)
    # numpy counts the blocks of a stream from 1 on, in the word before that of the counter.
    block = np.tile(np.arange(1, blocks + 1, dtype=np.uint64), len(counters))
    each = np.arange(counters.start, counters.stop, dtype=np.uint64)
    drawn = np.stack(philox_blocks(block, np.repeat(each, blocks), key_of(purpose)), axis=1)
    return drawn.reshape(len(counters), blocks * BLOCK_WORDS_COUNT)[:, :count]


def philox_blocks(first: Words, second: Words, key: Words) -> tuple[Words, Words, Words, Words]:
    """Philox4x64-10 of the counters (first, second, 0, 0), as in Salmon et al. 2011, section 3.3;
    sums and products are modulo 2⁶⁴."""
    a, b, c, d = first, second, np.zeros_like(first), np.zeros_like(first)
    keys = [int(word) for word in key]
    for _ in range(ROUND_COUNT):
        high_a, low_a = product(MULTIPLIERS[0], a)
        high_c, low_c = product(MULTIPLIERS[1], c)
        a, b = high_c ^ b ^ np.uint64(keys[0]), low_c
        c, d = high_a ^ d ^ np.uint64(keys[1]), low_a
        keys = [(word + step) % 2**64 for word, step in zip(keys, WEYL, strict=True)]
    return a, b, c, d


def product(factor: int, x: Words) -> tuple[Words, Words]:
    """The upper and the lower 64 bits of a product, by way of 32-bit halves (numpy has only the
    lower ones)."""
    high, low = np.uint64(factor >> 32), np.uint64(factor & 0xFFFFFFFF)
    x_low, x_high = x & LOW, x >> HALF
    middle = low * x_high + (low * x_low >> HALF)
    carried = high * x_low + (middle & LOW)
    upper = high * x_high + (middle >> HALF) + (carried >> HALF)
    return upper, np.uint64(factor) * x


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


def permutations(n: int, *purpose: int | str, counters: range) -> NDArray[np.int64]:
    """``permutation(n, *purpose, counter=c)`` for every ``c`` of ``counters``: [counters, n]."""
    order = np.argsort(words_of_each(n, *purpose, counters=counters), axis=1)
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
    ``progress`` is called between parts of what is drawn.
    """

    def __init__(
        self, rows: int, batch_size: int, seed: int, progress: Callable[[], None] = lambda: None
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.progress = progress
        self.newest: tuple[int, NDArray[np.int64]] | None = None

    def indices(self, first: int, count: int) -> NDArray[np.int64]:
        """The rows of batches ``first`` … ``first + count − 1``: [count, B]."""
        start, stop = first * self.batch_size, (first + count) * self.batch_size
        drawn = np.zeros(stop - start, dtype=np.int64)
        at = stop if self.rows == 1 else start  # of one row there is one order
        while at < stop:
            epoch, offset = divmod(at, self.rows)
            part = self.orders(epoch, -(-stop // self.rows))[offset : offset + stop - at]
            drawn[at - start : at - start + len(part)] = part
            at += len(part)
            self.progress()
        return drawn.reshape(count, self.batch_size)

    def orders(self, epoch: int, end: int) -> NDArray[np.int64]:
        """The orders of one or more epochs from ``epoch`` on, joined; none from ``end`` on."""
        if self.rows > MAX_FEW_ROWS:
            return self.order(epoch)
        count = min(
            end - epoch, MAX_BLOCK_COUNT * BLOCK_WORDS_COUNT // (self.rows + BLOCK_WORDS_COUNT)
        )
        counters = range(epoch, epoch + count)
        return permutations(self.rows, self.seed, "order", counters=counters).reshape(-1)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The order of one epoch; the newest is kept, for the next batches begin within it."""
        if self.newest is None or self.newest[0] != epoch:
            self.newest = epoch, permutation(self.rows, self.seed, "order", counter=epoch)
        return self.newest[1]
