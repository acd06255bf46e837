"""Images in the terminal."""

from fallline.terminal.images import beside, picture


def test_a_pixel_is_two_characters_as_full_as_it_is_bright() -> None:
    assert picture([[0, 4, 8], [12, 15, 16]], highest=16) == ["  ░░▒▒", "▓▓████"]


def test_what_lies_outside_the_range_is_cut_off() -> None:
    assert picture([[-3, 99]], highest=16) == ["  ██"]


def test_blocks_stand_side_by_side_each_in_its_column() -> None:
    assert beside([["ab", "c"], ["d"]], width=4) == ["ab  d", "c"]
