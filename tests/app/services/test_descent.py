"""Which arguments a fork cannot turn on or off is what the engine's rules need state for."""

import pytest

from app.services.descent import SLOTS
from training.catalog.optimizers import OPTIMIZERS
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
