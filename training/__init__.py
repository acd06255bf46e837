"""The training engine: pure PyTorch. It knows no database, no broker and no HTTP."""
