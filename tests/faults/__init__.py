"""The fault harness: whatever dies, the numbers are the same.

    python -m tests.faults [--seed N] [--database sqlite] [F8 F5 …]

Each fault is provoked in a deployment of its own, of real processes, at moments drawn from a seed;
afterwards every invariant is checked (``invariants``), and a line says what was required and what
was measured. ``plan`` names the faults, the modules beside it bring them about.
"""
