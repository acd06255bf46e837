"""`python -m fallline` is `fallline`."""

import atexit

from fallline.cli import main

# CPython ends `python -m` by SIGINT, whatever its exit code, when the last code that ran from text
# (as a data class does while it is imported) was left by a KeyboardInterrupt, caught or not.
atexit.register(exec, "", {})

main()
