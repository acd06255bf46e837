"""The same clients and lists that the routes are tested with."""

from collections.abc import Iterator

import pytest

from tests.app.api.conftest import operations as operations
from tests.app.conftest import connect as connect
from tests.app.conftest import digits as digits
from tests.app.conftest import tenant as tenant
from tests.app.conftest import theirs as theirs
from tests.app.uploads import kept, sent
from tests.service import Service


@pytest.fixture
def nothing_is_left(api: Service) -> Iterator[None]:
    """No file and no row of what was refused."""
    sent(api.http, "x,y\n1,2\n2,3\n")  # whatever is imported for the first file is no growth
    files, rows = kept(api), api.http.get("/v1/datasets?limit=100").json()["data"]
    yield
    assert kept(api) == files
    assert api.http.get("/v1/datasets?limit=100").json()["data"] == rows
