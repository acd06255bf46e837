"""The API process under an audit hook: every path that it touches is written down.

``python -m tests.security.audited``, with the log's place in FALLLINE_TEST_AUDIT_LOG.
"""

import json
import os
import runpy
import sys

EVENTS = {
    *("open", "os.chdir", "os.chmod", "os.link", "os.listdir", "os.mkdir", "os.remove"),
    *("os.rename", "os.rmdir", "os.scandir", "os.symlink", "os.truncate", "os.utime"),
    *("shutil.copyfile", "shutil.copytree", "shutil.move", "shutil.rmtree", "sqlite3.connect"),
    *("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "ctypes.dlopen"),
}
TWO_PATHS = {"os.link", "os.rename", "os.symlink", "shutil.copyfile", "shutil.move"}


def main() -> None:
    """Never returns: the rest is the API's own entry."""
    log = os.open(os.environ["FALLLINE_TEST_AUDIT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        if event in EVENTS:
            named = arguments[: 2 if event in TWO_PATHS else 1]
            paths = [os.fsdecode(n) for n in named if isinstance(n, str | bytes | os.PathLike)]
            os.write(log, json.dumps([event, *paths]).encode() + b"\n")

    sys.addaudithook(heard)
    runpy.run_module("app", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
