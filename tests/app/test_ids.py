"""Identifiers."""

import re
import time

from app.ids import ALPHABET, new_id


def test_an_id_has_its_prefix_and_twenty_six_digits() -> None:
    assert re.fullmatch(f"job_[{ALPHABET}]{{26}}", new_id("job"))


def test_ids_of_different_milliseconds_sort_by_time() -> None:
    ids = []
    for _ in range(20):
        ids.append(new_id("job"))
        begin = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == begin:
            pass
    assert ids == sorted(ids)


def test_the_digits_ascend_as_characters_do() -> None:
    assert list(ALPHABET) == sorted(ALPHABET)
    assert len(set(ALPHABET)) == 32


def test_no_two_ids_of_the_same_moment_are_equal() -> None:
    ids = {new_id("job") for _ in range(20_000)}
    assert len(ids) == 20_000


def test_the_time_can_be_read_from_an_id() -> None:
    before = time.time_ns() // 1_000_000
    digits = new_id("job").removeprefix("job_")
    number = 0
    for digit in digits:
        number = number * 32 + ALPHABET.index(digit)
    assert before <= number >> 80 <= time.time_ns() // 1_000_000
