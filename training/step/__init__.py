"""One update as a pure function of tensors, and the runners that execute it."""
