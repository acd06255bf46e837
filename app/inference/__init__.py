"""The one door from the service to torch, which is imported for the first prediction."""

import os

# Read once in a process, when torch is imported, which only this package does. One thread a pass:
# several only slow small models down and take turns with the one that answers everybody; and they
# share a batch of products out by its size, so that a row's bits would depend on its company.
os.environ.setdefault("OMP_NUM_THREADS", "1")
