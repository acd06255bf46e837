"""float32 series in the database, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, select, text, update

from app.database.column_types import Floats
from app.database.session import Database
from app.tables import Job, MetricChunk
from tests.app.conftest import database_of
from tests.app.database.test_session import Tenants, new_job
from tests.app.talk import Document, losses
from tests.service import Service

BITS = {
    "zero": 0x00000000,
    "minus zero": 0x80000000,
    "infinity": 0x7F800000,
    "minus infinity": 0xFF800000,
    "quiet nan": 0x7FC00000,
    "negative nan": 0xFFC00000,
    "nan with a payload": 0x7FC12345,
    "smallest subnormal": 0x00000001,
    "largest subnormal": 0x007FFFFF,
    "negative subnormal": 0x80000001,
    "smallest normal": 0x00800000,
    "largest": 0x7F7FFFFF,
    "one": 0x3F800000,
    "one and a bit": 0x3F800001,
    "a tenth": 0x3DCCCCCD,
}


def floats(*bits: int) -> Floats:
    return np.array(bits, dtype=np.uint32).view(np.float32)


def chunk(rows: Database, tenants: Tenants, values: Floats) -> None:
    with rows.session(tenants[0]) as session:
        session.add(new_job(id="job_a"))
        session.flush()
        session.add(
            MetricChunk(job_id="job_a", series="loss", first_iteration=0, stride=1, values=values)
        )


def stored(rows: Database) -> Floats:
    with rows.session(write=False) as session:
        return session.scalars(select(MetricChunk.values)).one()


def test_every_kind_of_float_comes_back_to_the_bit(rows: Database, tenants: Tenants) -> None:
    values = floats(*BITS.values())
    chunk(rows, tenants, values)
    back = stored(rows)
    assert back.dtype == np.float32
    found = dict(zip(BITS, back.view(np.uint32).tolist(), strict=True))
    assert found == BITS


@pytest.mark.parametrize("length", [0, 1, 2, 1023, 1024])
def test_a_series_of_any_length_comes_back(length: int, rows: Database, tenants: Tenants) -> None:
    values = np.arange(length, dtype=np.float32)
    chunk(rows, tenants, values)
    assert stored(rows).tolist() == values.tolist()


def test_any_bits_come_back(rows: Database, tenants: Tenants) -> None:
    chunk(rows, tenants, floats(0))

    @settings(max_examples=50)
    @given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40))
    def comes_back(bits: list[int]) -> None:
        with rows.session() as session:
            session.execute(update(MetricChunk).values(values=floats(*bits)))
        assert stored(rows).view(np.uint32).tolist() == bits

    comes_back()


def test_a_slice_of_a_longer_series_is_stored_as_it_is(rows: Database, tenants: Tenants) -> None:
    values = np.arange(100, dtype=np.float32)[10:40:3]
    chunk(rows, tenants, values)
    assert stored(rows).tolist() == values.tolist()


def test_on_postgresql_a_view_shows_every_iteration_to_sql(
    service: Service, digits: Document
) -> None:
    query = text("SELECT iteration, loss FROM iteration_losses WHERE job_id = :job ORDER BY 1")
    with database_of(service) as database, database.session(write=False) as session:
        dialect = database.engine.dialect.name
        views = inspect(database.engine).get_view_names()
        assert views == {"postgresql": ["iteration_losses"], "sqlite": []}[dialect]
        for _ in views:
            found = session.execute(query, {"job": digits["id"]}).all()
            assert [n for n, _ in found] == list(range(60))
            shown = np.array([loss for _, loss in found], dtype=np.float32)
            assert shown.astype(float).tolist() == losses(service, digits["id"])


def test_a_job_of_no_tenant_cannot_be(rows: Database) -> None:
    def add() -> None:
        with rows.session() as session:
            session.add(new_job())

    with pytest.raises(Exception, match=r"(?i)not.null"):
        add()
    with rows.session(write=False) as session:
        assert list(session.scalars(select(Job.id))) == []
