"""Which arguments a fork cannot turn on or off; whom it takes over stays until it has."""

import threading
from functools import partial
from pathlib import Path

import pytest

from app.db import Database
from app.services import descent, jobs
from app.services.descent import SLOTS
from app.storage import Storage
from app.tables import JobState
from tests.app.services.test_control import made
from tests.app.talk import TINY
from training.catalog.optimizers import OPTIMIZERS
from training.check import UNLIMITED, check
from training.optimizers import RULES


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_the_arguments_that_decide_about_state_are_the_ones_that_are_named(name: str) -> None:
    rule, word = RULES[name], OPTIMIZERS[name].model_validate({"type": name})
    plain = set(rule.slots(word))
    deciding = {
        field
        for field, value in word
        if isinstance(value, bool | float)
        and set(rule.slots(word.model_copy(update={field: not value}))) != plain
    }
    assert deciding == {field for field in SLOTS if field in type(word).model_fields}


def test_a_job_is_not_deleted_before_another_has_taken_it_over(
    rows: Database, tmp_path: Path
) -> None:
    spec = check(TINY, UNLIMITED).spec.model_dump(mode="json")
    job_id = made(rows, state=JobState.CANCELLED, spec=spec)
    storage = Storage(tmp_path)

    def delete() -> None:
        with rows.session() as session:
            jobs.delete(session, storage, job_id)

    deleting = threading.Thread(target=delete)
    heir = descent.retry(partial(rows.session, write=False), storage, job_id, "req_1")
    with rows.session() as session:
        kept = descent.keep(session, heir)
        deleting.start()
        deleting.join(0.3)
        assert deleting.is_alive()
    deleting.join()
    with rows.session(write=False) as session:
        assert jobs.get(session, kept.id).retry_of == job_id
