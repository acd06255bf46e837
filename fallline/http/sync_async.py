"""One text for the client that blocks and the one that is awaited.

Each method of a noun is written once, as a coroutine over a `Wire`, and marked with `call` (or with
`stream`, where it yields). Seen from a noun of `Client` it blocks and returns the answer; seen from
one of `AsyncClient` it is awaited. The type of the noun says which, to a type checker too:
`Jobs[Blocking]`, `Jobs[Awaited]`.

A blocking wire does each of its steps at once, so that a coroutine over it never waits for an event
loop: a single push takes it to its end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, cast, overload

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from fallline.http.transport import Transport


class Blocking:
    """The mode of `Client`."""


class Async:
    """The mode of `AsyncClient`."""


if TYPE_CHECKING:
    M = TypeVar("M", bound=Blocking | Async, default=Blocking)
else:
    from typing import TypeVar

    M = TypeVar("M")

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Resource(Generic[M]):
    """What has methods that ask the service."""

    _http: Transport = field(repr=False, compare=False)


class dual_method(Generic[S, P, T]):  # noqa: N801 (a decorator)
    """A method that asks the service: written as a coroutine, blocking on a blocking noun."""

    def __init__(self, method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]]) -> None:
        self.method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, noun: None, owner: Any) -> Callable[Concatenate[S, P], Any]: ...
    @overload
    def __get__(self, noun: Resource[Blocking], owner: Any) -> Callable[P, T]: ...
    @overload
    def __get__(self, noun: Resource[Async], owner: Any) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, noun: Any, owner: Any) -> Any:
        """The method in the mode of its noun."""
        return bind(noun, self.method, blocking)


class dual_stream(Generic[S, P, T]):  # noqa: N801 (a decorator)
    """A method that yields: an asynchronous generator, and a plain one on a blocking noun."""

    def __init__(self, method: Callable[Concatenate[S, P], AsyncGenerator[T, None]]) -> None:
        self.method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, noun: None, owner: Any) -> Callable[Concatenate[S, P], Any]: ...
    @overload
    def __get__(self, noun: Resource[Blocking], owner: Any) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, noun: Resource[Async], owner: Any) -> Callable[P, AsyncIterator[T]]: ...

    def __get__(self, noun: Any, owner: Any) -> Any:
        """The method in the mode of its noun."""
        return bind(noun, self.method, iterated)


def bind(
    noun: Resource[Any] | None, method: Callable[..., Any], block: Callable[..., Any]
) -> Callable[..., Any]:
    """A method bound to its noun, and to `block` where the noun does not wait for a loop.

    Of a class it takes the noun as its first argument, as every method does.
    """
    if noun is None:
        return wraps(method)(lambda noun, *more, **named: bind(noun, method, block)(*more, **named))
    bound = method.__get__(noun)
    return bound if noun._http.wire.awaited else wraps(bound)(partial(block, bound))


def blocking(
    method: Callable[P, Coroutine[Any, Any, T]], *arguments: P.args, **named: P.kwargs
) -> T:
    """The answer of a coroutine over a blocking wire."""
    return run(method(*arguments, **named))


def iterated(
    method: Callable[P, AsyncGenerator[T, None]], *arguments: P.args, **named: P.kwargs
) -> Iterator[T]:
    """The items of an asynchronous generator over a blocking wire; closed with the iterator."""
    items = method(*arguments, **named)
    try:
        while True:
            try:
                yield run(anext(items))
            except StopAsyncIteration:
                return
    finally:
        run(items.aclose())


def run(step: Awaitable[T]) -> T:
    """Push a coroutine that waits for nothing to its end."""
    try:
        step.__await__().send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("a blocking wire does not wait")
