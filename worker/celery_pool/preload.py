"""What the children of a pool share: imported once, in the Celery parent, before it forks them.

A child then starts in a fraction of a second, not in the seconds that importing torch takes, and
the code lies in memory once (docs/adr/0012). Importing is all that may happen here: it starts no
thread, opens no database and touches no device, none of which would survive a fork.
"""

import gc
from typing import Any

from celery.signals import worker_init

from training.tensors.numerics import large_tensors_apart


@worker_init.connect
def preload(**_: Any) -> None:
    """What no import of ours brings; the tasks have brought the engine.

    All of it is left out of garbage collections, which would write to its pages and so copy them.
    """
    large_tensors_apart()  # read by torch when it makes its first tensor
    # torch imports these, sympy and all, when something is first differentiated, or traced for
    # shapes that are not known yet.
    import sympy.combinatorics
    import sympy.tensor.tensor  # noqa: F401
    import torch._dynamo
    import torch.export._trace
    import torch.fx.experimental.validator  # noqa: F401

    gc.collect()
    gc.freeze()
