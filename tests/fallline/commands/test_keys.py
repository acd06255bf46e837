"""`fallline keys …` and `fallline tenants …`, at the real service."""

import json
from datetime import UTC, datetime

from app.ids import new_id
from tests.fallline.commands.terminal import Terminal
from tests.service import Service


def test_a_key_is_made_used_listed_and_revoked(terminal: Terminal, api: Service) -> None:
    admin = terminal.at(api.url, api.key)
    name = new_id("of")
    tenant = admin("tenants", "create", name, "-o", "id").out.strip()
    assert [tenant, name] == admin("tenants", "list", "-o", "csv").out.splitlines()[1].split(",")[
        :2
    ]
    wish = ["--scope", "read", "--scope", "train", "--tenant", tenant, "--expires", "2099-01-02"]
    said = admin("keys", "create", *wish, "-o", "json")
    assert said.code == 0, said.err
    made = json.loads(said.out)
    assert (made["tenant"], made["scopes"]) == (tenant, ["read", "train"])
    midnight = datetime(2099, 1, 2).astimezone(UTC)
    assert datetime.fromisoformat(made["expires_at"]) == midnight

    assert terminal.at(api.url, made["key"])("jobs", "list", "-o", "json").out.strip() == "[]"
    admin = terminal.at(api.url, api.key)
    listed = admin("keys", "list", "-o", "jsonl").out
    assert made["id"] in listed
    assert made["key"] not in listed
    revoked = admin("keys", "revoke", made["id"], "key_unknown")
    assert (revoked.code, revoked.err.splitlines()[0]) == (4, f"{made['id']} is revoked.")
    (row,) = [line for line in admin("keys", "list").out.splitlines() if made["id"] in line]
    assert row.count("20") >= 3  # created, expires and revoked


def test_a_secret_is_shown_and_not_lost(terminal: Terminal, api: Service) -> None:
    fallline = terminal.at(api.url, api.key)
    before = fallline("keys", "list", "-o", "id").out
    lost = fallline("keys", "create", "--scope", "read", "-o", "id")
    assert (lost.code, lost.out) == (2, "")
    assert fallline("keys", "list", "-o", "id").out == before
    shown = dict(
        line.split(maxsplit=1)
        for line in fallline("keys", "create", "--scope", "read").out.splitlines()
        if " " in line
    )
    assert fallline("keys", "list", "-o", "id").out.splitlines()[0] == shown["id"]
    assert terminal.at(api.url, shown["key"])("jobs", "list").code == 0
