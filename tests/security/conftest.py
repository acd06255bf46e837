"""The same clients and lists that the routes are tested with."""

from tests.app.api.conftest import operations as operations
from tests.app.conftest import connect as connect
from tests.app.conftest import digits as digits
from tests.app.conftest import tenant as tenant
from tests.app.conftest import theirs as theirs
