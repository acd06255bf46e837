"""`python -m fallline` is `fallline`."""

from fallline.cli import main

main()
