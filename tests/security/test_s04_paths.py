"""S4, path traversal: nothing that a client says becomes a path.

About two hundred spellings of places outside the service's data go into every id, name, parameter
and header that a client can send, while an audit hook in the API process writes down what it opens.
"""

import http.client
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from app.database.session import Database as Rows
from app.ids import new_id
from app.storage import Storage
from app.tables import Model, ModelVersion, Tenant
from tests.app.talk import TINY
from tests.databases import ROOT, Database
from tests.service import Service

SECRET = "canary-4b1f"  # noqa: S105 -- what must never be seen
STEPS = (
    *("../", "..\\", "..//", "./../", "x/../../", "....//", "..;/", ".../", "..\x00/", "..%00/"),
    *("..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "%252e%252e%252f", "..%c0%af", "..%ef%bc%8f"),
    *("．．/", "‥/", "..∕", "..\u2044"),
)
STARTS = (
    *("/", "//", "///", "\\\\?\\", "file://", "file:", "~root/../", "~/../", "/proc/self/root/"),
    *(
        "/proc/self/cwd/",
        "/dev/fd/../../..",
        "/./",
        "%2f",
        "%5c",
        "|cat ",
        "C:\\..\\",
        "\\\\host\\",
    ),
)
ALONE = (
    *("..", "...", ".", "/", "\\", "~", "*", "?", "%00", "\x00", "key", "objects", "fallline.db"),
    *("/proc/self/environ", "/proc/self/mem", "/dev/zero", "/dev/stdin", "/dev/tty", "CON", "NUL"),
    *("objects/model/..", ".key.tmp", "key\x00.json", "key%00", "-", "--", "$HOME/key", "`id`"),
)
ENDS = ("", "/", "/.", ".json", "\x00", "%00.json", "?x", "#x", ";x", " ", ".", "::$DATA", "\n")


def spellings(home: Path, canary: Path) -> list[str]:
    """Ways to say: that file, from the data folder or from the root."""
    up, inner = len(home.parts) - 1, str(canary)[1:]
    found = [step * depth + inner for step in STEPS for depth in (up, up + 3)]
    found += [step * (up + 3) + "etc/passwd" for step in STEPS]
    found += [step * depth + "key" for step in STEPS for depth in (1, 2, 3)]
    found += [start + path for start in STARTS for path in (inner, "etc/passwd")]
    found += [f"{canary}{end}" for end in ENDS]
    found += [f"{start}{'../' * (up + 4)}{inner}" for start in ("job_x/", "objects/", "model/x/")]
    return list(dict.fromkeys([*found, *ALONE]))


class Audited(NamedTuple):
    """A service whose API is watched, with a file that nobody may open."""

    service: Service
    log: Path
    canary: Path
    connection: http.client.HTTPConnection

    def words(self) -> list[str]:
        """All of them on SQLite, whose files might be reached as well; a fifth on PostgreSQL."""
        found = spellings(self.service.home, self.canary)
        assert len(found) >= 200
        return found if self.service.database_url.startswith("sqlite") else found[::5]

    def opened(self) -> list[list[str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """As it stands: a client library would tidy the path up. Every answer is looked at."""
        given = {"Content-Type": "application/json", **headers}
        key = {"Authorization": f"Bearer {self.service.key}"}
        self.connection.request(method, path, body, given | key)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 500, (method, path, text)
        assert SECRET.encode() not in text, (method, path)
        assert b"root:x:0" not in text, (method, path)
        return answer.status, text


@pytest.fixture(scope="module")
def outside() -> Iterator[Path]:
    """Not pytest's own folder: that may lie within the project's, which a service may read."""
    with tempfile.TemporaryDirectory(prefix="fl-outside-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def audited(database: Database, outside: Path) -> Iterator[Audited]:
    folder = Path(tempfile.mkdtemp(dir=outside))
    canary, log = folder / "canary", folder / "audit"
    canary.write_text(SECRET)
    with database.empty() as url:
        much = {"requests_per_second": 1_000_000, "max_queued_jobs": 1_000_000}
        service = Service(url, test_audit_log=log, **much)
        try:
            service.migrate()
            store_models(service, spellings(service.home, canary))
            service.start_api("tests.security.audited")
            address = service.url.removeprefix("http://")
            with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
                yield Audited(service, log, canary, connection)
        finally:
            service.close()


def store_models(service: Service, names: list[str]) -> None:
    """Models whose names are paths: no client can make one, so the rows are made here."""
    rows = Rows(service.database_url)
    stored = Storage(service.home / "objects").put("model", b"not a model")
    with rows.session() as session:
        tenant = session.query(Tenant.id).scalar()
        for name in names:
            if "\x00" in name:
                continue  # PostgreSQL keeps none
            model = Model(id=new_id("mdl"), tenant_id=tenant, name=name)
            session.add(model)
            session.flush()
            version = {"model_id": model.id, "version": 1, "job_id": "job_none"}
            session.add(
                ModelVersion(id=new_id("mdl"), tenant_id=tenant, **version, **stored._asdict())
            )
    rows.dispose()


def inside(audited: Audited, path: str) -> bool:
    """Whether the service has any business there: its data, its code, what Python itself reads."""
    database = make_url(audited.service.database_url)
    ours = [audited.service.home, ROOT, Path(sys.prefix), Path(sys.base_prefix)]
    if database.get_backend_name() == "sqlite":
        ours.append(Path(str(database.database)).parent)
    own = (
        "/proc/self/stat",
        "/proc/self/status",
        "/proc/self/fd",
        "/proc/stat",
        "/proc/self/limits",
    )
    system = (*own, "/dev/null", "/dev/urandom", "/etc/localtime", "/usr/share/zoneinfo")
    resolved = Path(os.path.normpath(path))
    return any(resolved.is_relative_to(folder) for folder in ours) or path.startswith(system)


def body_with(word: str) -> list[tuple[str, str, Any]]:
    """Requests that hold the word wherever a body has a name."""
    layer = {"type": "linear", "out_features": 1}
    job = {**TINY, "name": word}
    return [
        ("POST", "/v1/jobs", job),
        ("POST", "/v1/jobs", {**TINY, "dataset": word}),
        ("POST", "/v1/jobs", {**TINY, "metadata": {"k": word}}),
        ("POST", "/v1/jobs", {**TINY, "metadata": {word: "v"}}),
        ("POST", "/v1/jobs", {**TINY, "model": [{**layer, "name": word}]}),
        ("POST", "/v1/jobs", {**TINY, "model": [{"type": word}], "loss": word, "optimizer": word}),
        ("POST", "/v1/jobs", {**TINY, word: word}),
        ("POST", "/v1/tenants", {"name": word}),
        ("POST", "/v1/keys", {"tenant": word, "scopes": [word]}),
    ]


def test_no_spelling_in_a_path_reaches_a_file(audited: Audited, operations: frozenset[str]) -> None:
    words = audited.words()
    before = len(audited.opened())
    places = [o for o in operations if "{" in o and not o.startswith("GET /docs")]
    assert len(places) > 10
    for operation, word in itertools.product(sorted(places), words):
        method, path = operation.split(" ", 1)
        for name in ("job_id", "name", "version", "task_id", "n"):
            path = path.replace(f"{{{name}}}", quote(word, safe=""), 1)
        while "{" in path:
            path = f"{path[: path.index('{')]}{quote(word, safe='')}{path[path.index('}') + 1 :]}"
        audited.send(method, path, b"{}")
    nothing_outside(audited, before)


def test_no_spelling_in_a_raw_path_reaches_a_file(audited: Audited) -> None:
    before = len(audited.opened())
    for word in audited.words():
        raw = quote(word, safe="/\\%;:~.|*?$`-")
        for prefix in ("/", "/v1/jobs/", "/v1/models/", "/docs/"):
            audited.send("GET", prefix + raw)
    nothing_outside(audited, before)


def test_no_spelling_in_a_query_or_header_reaches_a_file(audited: Audited) -> None:
    before = len(audited.opened())
    for word in audited.words():
        said = quote(word, safe="")
        for path in (
            f"/v1/jobs?after={said}&name={said}&state={said}&metadata.{said}={said}",
            f"/v1/jobs/job_x/metrics?series={said}&points={said}",
            f"/v1/jobs/job_x/iterations/0?parameters={said}",
            f"/v1/jobs/job_x/examples?split={said}",
            f"/v1/models/x/versions/1/download?format={said}",
        ):
            audited.send("GET", path)
        header = quote(word, safe="/\\.%~:")
        ids = {"X-Request-Id": header, "Idempotency-Key": header, "Last-Event-ID": header}
        audited.send("GET", "/v1/jobs", b"", **ids)
        audited.send("POST", f"/v1/datasets?name={said}&target={said}", b"a,b\n1,2\n", **ids)
    nothing_outside(audited, before)


def test_no_spelling_in_a_body_reaches_a_file(audited: Audited) -> None:
    before = len(audited.opened())
    for word in audited.words():
        for method, path, body in body_with(word):
            audited.send(method, path, json.dumps(body).encode())
        multipart = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="'
            + word.encode().replace(b"\x00", b"%00")
            + b'"\r\nContent-Type: text/csv\r\n\r\na,b\n1,2\n3,4\n\r\n--b--\r\n'
        )
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        audited.send("POST", "/v1/datasets?name=x&target=b", multipart, **form)
    nothing_outside(audited, before)
    names = {path.name for path in audited.service.home.rglob("*")}
    assert "canary" not in names


def test_the_hook_hears(audited: Audited) -> None:
    """It has written down how the process opened its own code and database."""
    heard = audited.opened()
    assert any(
        path.endswith("app/main.py") or "main.cpython" in path for _, *ps in heard for path in ps
    )
    assert not inside(audited, str(audited.canary))
    assert not inside(audited, f"{audited.service.home}/../x")


def nothing_outside(audited: Audited, before: int) -> None:
    """Whatever was touched since then lies where the service has business."""
    found = audited.opened()[before:]
    outside = {path for _, *paths in found for path in paths if not inside(audited, path)}
    assert outside == set()
    assert not [
        event for event, *_ in found if event in {"subprocess.Popen", "os.exec", "os.system"}
    ]
    assert audited.canary.read_text() == SECRET
