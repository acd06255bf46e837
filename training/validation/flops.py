"""How much a job computes, from its plan alone. Imports no torch.

Counted as ``torch.utils.flop_counter.FlopCounterMode`` counts: two for each multiplication and
addition of a matrix product or a convolution. What looks at one number at a time (activations,
norms, the optimizer) counts nothing: it costs memory traffic, not arithmetic.
"""

from training.spec.plan import Plan


def forward(plan: Plan) -> int:
    """Of one example's forward pass."""
    return sum(layer.word.flops(layer.input_shape) for layer in plan.layers)


def backward(plan: Plan) -> int:
    """Of one example's backward pass: what lies before the first parameter needs no gradient."""
    total, inputs = 0, False
    for layer in plan.layers:
        total += layer.word.backward_flops(layer.input_shape, inputs=inputs)
        inputs = inputs or bool(layer.parameters)
    return total


def iteration(plan: Plan) -> int:
    """Of one update: forward and backward over a batch."""
    return plan.batch_size * (forward(plan) + backward(plan))
