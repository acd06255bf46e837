"""Progress where no bar can move."""

import io

from rich.console import Console

from fallline.terminal.screen import Screen


def told(total: int, *done: int) -> list[str]:
    output = io.StringIO()
    with Screen(Console(file=output)).progress(total) as advance:
        for n in done:
            advance(n, None)
    return [line.split()[1] for line in output.getvalue().splitlines()]


def test_a_line_comes_every_tenth_of_the_way() -> None:
    assert told(100, *range(1, 101)) == [
        f"{n}/100" for n in (1, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100)
    ]


def test_the_last_iteration_is_told_once() -> None:
    assert told(40, 1, 38, 40, 40) == ["1/40", "38/40", "40/40"]


def test_nothing_is_told_of_nothing() -> None:
    assert told(40, 0, 0) == []
