"""A question to a scripted service, asked by either client."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fallline import AsyncClient, Client
from tests.fallline.scripted import Script, served

Question = Callable[[Any], Any]
Ask = Callable[[Script, Question], Any]
"""Asks by a client that blocks, or awaits the same; what it yields comes as a list."""


def blocking(script: Script, question: Question) -> Any:
    with served(script), Client(script.url, "secret") as client:
        answer = question(client)
        return list(answer) if hasattr(answer, "__next__") else answer


def awaited(script: Script, question: Question) -> Any:
    async def ask() -> Any:
        async with AsyncClient(script.url, "secret") as client:
            answer = question(client)
            if isinstance(answer, Awaitable):
                return await answer
            return [item async for item in answer]

    with served(script):
        return asyncio.run(ask())
