"""The data that a process trains on: those of its last jobs stay, for the next is often on them."""

from collections import OrderedDict

from training.datasets.uploaded import Opener
from training.spec.plan import Plan
from training.tensors.data import Data, load
from training.tensors.numerics import Numerics
from training.validation.fusion_rules import data_key

MAX_CACHED_BYTES = 64 << 20
"""Bytes that are kept, of all data sets together."""


class DatasetCache:
    """Data by what makes them equal, those used last behind."""

    def __init__(self) -> None:
        self.kept: OrderedDict[tuple[str, str], Data] = OrderedDict()

    def load(self, plan: Plan, numerics: Numerics, arrays: Opener) -> Data:
        """As ``training.tensors.data.load``. Data that are written out in a specification are not
        kept: to compare them costs what is saved."""
        if not isinstance(plan.spec.dataset, str):
            return load(plan, numerics, arrays)
        key = (data_key(plan), numerics.fingerprint())
        data = self.kept.pop(key, None) or load(plan, numerics, arrays)
        self.kept[key] = data
        while self.kept and sum(map(size_bytes, self.kept.values())) > MAX_CACHED_BYTES:
            self.kept.popitem(last=False)
        return data


def size_bytes(data: Data) -> int:
    """Bytes of all splits."""
    return sum(part.x.nbytes + part.y.nbytes + part.rows.nbytes for part in data.parts.values())
