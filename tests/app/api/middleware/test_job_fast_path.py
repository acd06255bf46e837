"""A poll is answered without the framework, and says what the route says."""

import pytest

from app.ids import new_id
from tests.app.conftest import Connect, new_key
from tests.app.talk import TINY, posted
from tests.service import Service

EACH_ITS_OWN = {"date", "x-request-id"}
ROUTED = "?wait=0"
"""What the layer leaves to the route, and changes nothing of the answer."""


@pytest.mark.parametrize("given", [{}, {"If-None-Match": "*"}, {"If-None-Match": '"other"'}])
@pytest.mark.parametrize("asking", ["owner", "stranger", "reads nothing", "nobody"])
@pytest.mark.parametrize("asked", ["theirs", "nothing", "no id"])
def test_a_poll_and_the_route_say_the_same(
    api: Service, connect: Connect, given: dict[str, str], asking: str, asked: str
) -> None:
    job_id = {"theirs": posted(api, TINY), "nothing": new_id("job"), "no id": "validate"}[asked]
    keys = {
        "owner": api.key,
        "stranger": new_key(api, "others"),
        "reads nothing": new_key(api, scopes=("predict",)),
        "nobody": None,
    }
    client = connect(api, keys[asking])
    polled, routed = (client.get(f"/v1/jobs/{job_id}{by}", headers=given) for by in ("", ROUTED))
    assert polled.status_code == routed.status_code
    for answer in (polled, routed):
        for name in EACH_ITS_OWN:
            del answer.headers[name]
    assert polled.headers == routed.headers
    if polled.status_code < 400:
        assert polled.content == routed.content
    else:
        assert polled.json() | {"request_id": ""} == routed.json() | {"request_id": ""}


def test_a_poll_is_counted_as_its_route(api: Service) -> None:
    api.http.get(f"/v1/jobs/{posted(api, TINY)}")
    text = api.http.get("/metrics").text
    assert 'method="GET",route="/v1/jobs/{job_id}",status="2xx"' in text
