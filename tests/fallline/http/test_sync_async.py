"""One text, two clients."""

import inspect

import pytest

from fallline import AsyncClient, Client
from tests.fallline.scripted import Answer, Script
from tests.fallline.talk import blocking


def test_both_clients_have_the_same_methods_with_the_same_documentation() -> None:
    one, other = Client("http://127.0.0.1:1", "key"), AsyncClient("http://127.0.0.1:1", "key")
    for noun in ("jobs", "datasets", "models", "catalog", "keys", "tenants"):
        here, there = getattr(one, noun), getattr(other, noun)
        assert dir(here) == dir(there)
        for name in filter(lambda name: not name.startswith("_"), dir(here)):
            mine, theirs = getattr(here, name), getattr(there, name)
            assert mine.__doc__ == theirs.__doc__
            assert mine.__doc__
            assert inspect.signature(mine) == inspect.signature(theirs)
    one.close()


def test_a_method_of_a_class_takes_its_noun_first() -> None:
    script = Script(answers={"GET /healthz": [Answer(200, {"status": "alive"})]})
    assert blocking(script, Client.alive) is True


def test_a_client_that_blocks_does_so_inside_a_running_loop_too() -> None:
    import asyncio

    async def ask() -> bool:
        script = Script(answers={"GET /healthz": [Answer(200, {})]})
        return bool(blocking(script, lambda client: client.alive()))

    assert asyncio.run(ask())


def test_an_error_of_ours_is_raised_where_it_was_asked() -> None:
    script = Script(answers={"GET /v1/jobs": [Answer(404, {"detail": "Nothing."})]})
    with pytest.raises(Exception, match="Nothing"):
        blocking(script, lambda client: list(client.jobs.all()))
