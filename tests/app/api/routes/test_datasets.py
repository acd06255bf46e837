"""Uploaded data over HTTP: taken, described, listed, shown, deleted."""

import hashlib
from collections.abc import Callable, Iterator

import pytest

from tests.app.conftest import Connect
from tests.app.talk import mistakes, problem
from tests.app.uploads import CSV, houses, kept, people, sent, uploaded
from tests.service import Service

SMALL = "x,c,y\n1,a,0\n2,b,1\n,a,0\n4,b,1\n"


def test_a_table_is_described_as_it_was_received_and_understood(api: Service) -> None:
    text = people()
    answer = sent(api.http, text, "bought", name="people")
    assert answer.status_code == 201, answer.text
    document = answer.json()
    assert answer.headers["Location"] == f"/v1/datasets/{document['id']}"
    assert document["id"].startswith("ds_")
    assert (document["object"], document["name"], document["target"], document["rows"]) == (
        *("dataset", "people", "bought"),
        240,
    )
    assert document["source"] == {
        "bytes": len(text.encode()),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "encoding": "utf-8",
        "delimiter": ",",
        "quote": '"',
        "header": True,
        "decimal": ".",
    }
    columns = {column["name"]: column for column in document["schema"]["columns"]}
    assert columns["city"] == {
        "name": "city",
        "role": "feature",
        "kind": "categorical",
        "categories": ["Bergen", "Oslo", "Tromsø"],
        "missing": True,
        "inputs": 4,
        "note": None,
    }
    assert (columns["id"]["role"], columns["bought"]["role"]) == ("ignored", "target")
    assert document["schema"]["inputs"] == 1 + 4 + 2 + 1
    classes = document["statistics"]["classes"]
    assert classes == {label: text.count(f",{label}\n") for label in ("no", "yes")}
    assert document["statistics"]["columns"]["age"]["missing"] == text.count(",,")
    assert api.http.get(f"/v1/datasets/{document['id']}").json() == document


def test_the_first_rows_are_shown_by_column(api: Service) -> None:
    document = uploaded(api, SMALL)
    answer = api.http.get(f"/v1/datasets/{document['id']}/preview", params={"rows": 3})
    assert answer.json() == {
        "dataset": document["id"],
        "data": [
            {"x": 1, "c": "a", "y": 0},
            {"x": 2, "c": "b", "y": 1},
            {"x": None, "c": "a", "y": 0},
        ],
    }
    assert list(
        mistakes(api.http.get(f"/v1/datasets/{document['id']}/preview?rows=101"), "invalid_request")
    ) == ["/rows"]


@pytest.mark.parametrize("media_type", ["text/csv", "application/csv", "Text/CSV; charset=utf-8"])
def test_a_body_of_each_media_type_is_taken(media_type: str, api: Service) -> None:
    answer = sent(api.http, SMALL, headers={"Content-Type": media_type})
    assert answer.status_code == 201, answer.text


def test_tabs_may_be_declared_by_the_media_type(api: Service) -> None:
    text = "a,b\ty\n1,2\t3\n4,5\t6\n"
    answer = sent(api.http, text, headers={"Content-Type": "text/tab-separated-values"})
    assert answer.json()["source"]["delimiter"] == "\t"


def test_a_form_with_one_file_is_taken(api: Service) -> None:
    files = {"file": ("../../etc/passwd.csv", SMALL.encode(), "text/csv")}
    answer = api.http.post("/v1/datasets", params={"target": "y"}, files=files)
    assert answer.status_code == 201, answer.text
    assert answer.json()["source"]["sha256"] == hashlib.sha256(SMALL.encode()).hexdigest()


def test_a_stream_without_a_length_is_taken(api: Service) -> None:
    def pieces() -> Iterator[bytes]:
        for line in houses(5_000).splitlines(keepends=True):
            yield line.encode()

    document = uploaded(api, pieces(), "price")
    assert (document["rows"], document["source"]["delimiter"]) == (5_000, ";")


def test_the_same_content_is_one_file_until_the_last_row_is_deleted(
    api: Service, tenant: Connect
) -> None:
    before = kept(api)
    text = houses(50, seed=7)
    mine = [uploaded(api, text, "price")["id"] for _ in range(2)]
    theirs = tenant(api)
    third = sent(theirs, text, "price").json()["id"]
    (file,) = kept(api) - before
    assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name
    for dataset_id in mine:
        assert api.http.delete(f"/v1/datasets/{dataset_id}").status_code == 204
        problem(api.http.get(f"/v1/datasets/{dataset_id}"), 404, "not_found")
        assert file.exists()
    assert theirs.get(f"/v1/datasets/{third}/preview").status_code == 200
    assert theirs.delete(f"/v1/datasets/{third}").status_code == 204
    assert kept(api) == before


def test_other_options_make_another_file(api: Service) -> None:
    text = houses(50, seed=8)
    before = kept(api)
    uploaded(api, text, "price")
    uploaded(api, text, "rooms")
    assert len(kept(api) - before) == 2


def test_data_sets_are_listed_newest_first_a_page_at_a_time(api: Service, tenant: Connect) -> None:
    client = tenant(api)
    ids = [sent(client, SMALL, name=f"n{i}").json()["id"] for i in range(5)]
    page = client.get("/v1/datasets", params={"limit": 3}).json()
    assert [one["id"] for one in page["data"]] == ids[:1:-1]
    rest = client.get("/v1/datasets", params={"limit": 3, "after": page["next"]}).json()
    assert [one["id"] for one in rest["data"]] == ids[1::-1]
    assert (page["has_more"], rest["has_more"]) == (True, False)


def test_data_of_another_tenant_are_not_there(api: Service, tenant: Connect) -> None:
    mine, stranger = uploaded(api, SMALL)["id"], tenant(api)
    for method, path in [("GET", ""), ("GET", "/preview"), ("DELETE", "")]:
        answers = [
            stranger.request(method, f"/v1/datasets/{i}{path}", headers={"X-Request-Id": "same"})
            for i in (mine, "ds_" + "0" * 26)
        ]
        for answer in answers:
            problem(answer, 404, "not_found")
        assert answers[0].text.replace(mine, "") == answers[1].text.replace("ds_" + "0" * 26, "")
    assert stranger.get("/v1/datasets").json()["data"] == []
    assert api.http.get(f"/v1/datasets/{mine}").status_code == 200


def test_a_column_that_does_not_exist_is_pointed_at(api: Service) -> None:
    assert mistakes(sent(api.http, SMALL, "Y"), "invalid_file") == {
        "/target": ["unknown_column", "there is no column `Y`: there are x, c, y"]
    }
    assert mistakes(sent(api.http, people(5), "bougth"), "invalid_file") == {
        "/target": ["unknown_column", "there is no column `bougth`: did you mean `bought`?"]
    }


def test_every_mistake_of_the_query_is_told_before_the_file_is_read(api: Service) -> None:
    answer = api.http.post("/v1/datasets?delimiter=%2B&encoding=ebcdic&header=x", headers=CSV)
    assert set(mistakes(answer, "invalid_request")) == {
        *("/target", "/delimiter", "/encoding", "/header")
    }


def test_a_repeated_upload_is_answered_again_and_kept_once(api: Service, tenant: Connect) -> None:
    client, text = tenant(api), houses(30, seed=9)
    before = kept(api)
    headers = {**CSV, "Idempotency-Key": "once"}
    first, again = (sent(client, text, "price", headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert len(client.get("/v1/datasets").json()["data"]) == 1
    other = sent(client, text + "1;2;3\n", "price", headers=headers)
    problem(other, 422, "idempotency_key_reused")
    assert len(kept(api) - before) == 1
    assert client.delete(first.headers["Location"]).status_code == 204
    assert kept(api) == before


def test_a_tenant_that_has_stored_enough_is_refused_and_nothing_is_kept(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(workers=0, max_stored_bytes=10_000)
    assert sent(service.http, SMALL).status_code == 201
    before = kept(service)
    refused = sent(service.http, houses(2_000), "price")
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert kept(service) == before
