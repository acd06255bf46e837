"""Changes merged into a specification: what is not mentioned stays. Imports no torch.

As a JSON merge patch (RFC 7396): objects are merged, ``null`` removes, all else replaces. And as is
meant by a specification: another ``type`` begins its section anew, a bare word has its section's
meaning, and ``iterations`` and ``epochs`` take each other's place.
"""

from typing import Any

Json = dict[str, Any]

WORDS = ("loss", "optimizer", "schedule")
EITHER = ("iterations", "epochs")


def merged(specification: Json, changes: Json) -> Json:
    """The changed specification; neither argument is changed."""
    base = dict(specification)
    for name in WORDS:
        if isinstance(base.get(name), str):
            base[name] = {"type": base[name]}
    if any(changes.get(name) is not None for name in EITHER):
        base = {name: value for name, value in base.items() if name not in EITHER}
    return patched(base, changes)


def patched(base: Json, changes: Json) -> Json:
    """One object merged into another."""
    result = dict(base)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            goes_on = isinstance(old, dict) and value.get("type") in (None, old.get("type"))
            result[name] = patched(old if isinstance(old, dict) and goes_on else {}, value)
        else:
            result[name] = value
    return result
