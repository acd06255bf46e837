"""The service keeps to its own OpenAPI document, whatever is sent: generated requests, right and
wrong, to every operation. ``make fuzz`` sends more of them, and other ones every time.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode, Response
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.app.talk import DIGITS, posted, trained
from tests.app.uploads import houses, uploaded
from tests.service import Service

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
Known = dict[str, list[Any]]
Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Any]


@pytest.fixture
def still(own_service: Callable[..., Service]) -> Service:
    """A service that has trained a model and then lost its worker: what it accepts stays queued."""
    service = own_service(
        worker_processes=1,
        replay_wait_seconds=0.02,
        max_queued_jobs=1_000_000,
        max_requests_per_second=1_000_000,
    )
    trained(service, DIGITS, name="known", checkpoint_every_seconds=0)
    service.stop(service.processes[-1])
    return service


def known(service: Service) -> Known:
    """Names of things that are there, by the name of the parameter that takes them."""
    jobs = [job["id"] for job in service.http.get("/v1/jobs").json()["data"]]
    jobs += [posted(service, DIGITS, name=f"waiting-{n}") for n in range(3)]
    tables = [uploaded(service, houses(20, seed=n), "price")["id"] for n in range(2)]
    named = {"job_id": jobs, "dataset_id": tables, "name": ["known"], "version": [1]}
    return {**named, "n": [0, 30, 60]}


def operations(service: Service) -> list[Operation]:
    """All of them, by the document that the service gives out; first those that remove nothing."""
    document = service.http.get("/openapi.json").json()
    for operation in (one for path in document["paths"].values() for one in path.values()):
        operation.pop("security", None)  # or every second wrong request would be one without a key
    results = schemathesis.openapi.from_dict(document).get_all_operations()
    found: list[Operation] = [result.ok() for result in results]  # type: ignore[union-attr]
    return sorted(found, key=lambda operation: operation.method.upper() == "DELETE")


def test_every_answer_is_one_that_the_document_names(
    still: Service, cases: int, first_seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = operations(still)
    turns = [(one, mode) for one in found for mode in GenerationMode]
    turns += 2 * [(one, mode) for one, mode in turns if one.body]  # there is more to be tried
    count = round(1.3 * cases / len(turns))  # some take nothing that could be varied
    statuses, broken = Counter[int](), dict[str, str]()
    for turn, (operation, mode) in enumerate(turns):
        draw = seed(first_seed + turn)
        try:
            send(still, operation, mode, known(still), draw, count, statuses)
        except (AssertionError, FailureGroup) as failure:
            broken[f"{operation.label} {mode.value}"] = str(failure)
    sent = sum(statuses.values())
    table = dict(sorted(statuses.items()))
    with capsys.disabled():
        print(f"\nseed {first_seed}: {sent} requests, {len(found)} operations: {table}")  # noqa: T201
    assert not broken, "\n\n".join(f"{name}\n{why}" for name, why in broken.items())
    assert sent >= cases


def send(
    service: Service,
    operation: Operation,
    mode: GenerationMode,
    names: Known,
    draw: Callable[[Any], Any],
    count: int,
    statuses: Counter[int],
) -> None:
    """So many requests to one operation; raises with what broke the contract."""

    session = requests.Session()
    session.trust_env = False

    @draw
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(operation.as_strategy(generation_mode=mode), st.data())
    def one(case: AnyCase, data: st.DataObject) -> None:
        pointed(case, names, data)
        answer = asked(session, service, case)
        statuses[answer.status_code] += 1
        assert served(case, answer), f"{case.as_curl_command()}\n{answer.status_code} {answer.text}"
        case.validate_response(answer, checks=CHECKS)

    try:
        one()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "nothing to send"  # it has no parameter


def pointed(case: AnyCase, names: Known, data: st.DataObject) -> None:
    """Makes three requests of four ask for things that are there, and none of them wait."""
    for name in set(names) & set(case.path_parameters):
        if data.draw(st.integers(0, 3)):
            case.path_parameters[name] = data.draw(st.sampled_from(names[name]))
    if "wait" in case.query:
        case.query["wait"] = "0.01"


def asked(session: requests.Session, service: Service, case: AnyCase) -> Response:
    """Sends a request as it was generated, but for the key: that is valid."""
    headers = {"Authorization": f"Bearer {service.key}"}
    if "text/event-stream" in str(case.headers.get("Accept", "")):
        headers["Accept"] = "application/json"  # a stream of a job that waits does not end
    return case.call(base_url=service.url, session=session, headers=headers, timeout=30)


def served(case: AnyCase, answer: Response) -> bool:
    """No failure of ours. (That its worker is gone is what this service has to say at /readyz.)"""
    return answer.status_code < 500 or case.path == "/readyz"
