"""What is wrong with a specification, each with a pointer (RFC 6901) and a plain sentence."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


class Mistake(NamedTuple):
    """One thing to mend. ``code`` is stable, ``message`` is for people."""

    pointer: str
    code: str
    message: str


class Mistakes(ValueError):
    """All that is wrong at once."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(f"{m.pointer or '/'}: {m.message}" for m in self.mistakes))


MAX_LISTED_COUNT = 100
"""How many mistakes are listed; nobody reads more, and a body of 10 MB could hold a million."""

SENTENCES = {
    "greater_than": ("out_of_range", "must be greater than {gt}"),
    "greater_than_equal": ("out_of_range", "must be at least {ge}"),
    "less_than": ("out_of_range", "must be less than {lt}"),
    "less_than_equal": ("out_of_range", "must be at most {le}"),
    "finite_number": ("not_finite", "must be a finite number, not NaN or Inf"),
    "missing": ("missing", "is required"),
    "union_tag_not_found": ("missing", "needs a `type`"),
    "int_type": ("wrong_type", "must be a whole number"),
    "int_from_float": ("wrong_type", "must be a whole number"),
    "float_type": ("wrong_type", "must be a number"),
    "string_type": ("wrong_type", "must be a string"),
    "bool_type": ("wrong_type", "must be true or false"),
    "list_type": ("wrong_type", "must be a list"),
    "tuple_type": ("wrong_type", "must be a list"),
    "dict_type": ("wrong_type", "must be an object"),
    "model_type": ("wrong_type", "must be an object"),
    "model_attributes_type": ("wrong_type", "must be an object"),
    "literal_error": ("unknown_name", "must be {expected}"),
    "string_too_long": ("out_of_range", "must be at most {max_length} characters long"),
    "too_short": ("out_of_range", "must have at least {min_length} entries"),
    "too_long": ("out_of_range", "must have at most {max_length} entries"),
}

OURS = {"conflict": "conflict", "form": "wrong_type", "float_format": "out_of_range"}
"""Kinds of errors that our own validators raise, with their sentence, and what we call them."""


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    close = difflib.get_close_matches(str(word)[:80], list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def unknown(word: object, known: Sequence[str]) -> str:
    """The sentence for a name that does not exist."""
    guess = nearest(word, known)
    hint = f"did you mean `{guess}`?" if guess else f"known are {', '.join(sorted(known))}"
    return f"`{str(word)[:80]}`: {hint}"


def translate(error: ValidationError, model: type[BaseModel], raw: Any) -> list[Mistake]:
    """pydantic's findings about ``raw`` in our words, pointing into ``raw`` itself."""
    found: dict[tuple[str, str], Mistake] = {}
    for detail in error.errors(include_url=False):
        mistake = sentence(detail, model, raw)
        # What is missing in a bare word has no place of its own: several share the word's.
        key = (mistake.pointer, mistake.message if mistake.code == "missing" else "")
        found[key] = either(found[key], mistake) if key in found else mistake
        if len(found) == MAX_LISTED_COUNT:
            break
    places = {mistake.pointer for mistake in found.values()}
    return [m for m in found.values() if not explained(m, places)]


def either(first: Mistake, second: Mistake) -> Mistake:
    """A union of plain types reports every arm that did not match: one sentence names both."""
    start = "must be "
    if first.message.startswith(start) and second.message.startswith(start):
        return first._replace(message=f"{first.message} or {second.message.removeprefix(start)}")
    return second if first.code == "wrong_type" else first


def explained(mistake: Mistake, found: Iterable[str]) -> bool:
    """The other arm of a union matched in form, and its findings lie deeper."""
    below = mistake.pointer + "/"
    of_form = mistake.code in ("wrong_type", "unknown_name")
    return of_form and any(at.startswith(below) for at in found)


def sentence(detail: ErrorDetails, model: type[BaseModel], raw: Any) -> Mistake:
    """One finding of pydantic as a mistake."""
    kind, loc = detail["type"], detail["loc"]
    context = {k: f"{v:g}" if type(v) is float else v for k, v in detail.get("ctx", {}).items()}
    at = pointer(loc, raw, kind)
    if kind == "extra_forbidden":
        return Mistake(at, "unknown_field", unknown(loc[-1], fields_at(loc[:-1], model)))
    if kind == "union_tag_invalid":
        known = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
        spelled = f"{at}/type" if isinstance(lookup(raw, at), dict) else at
        return Mistake(spelled, "unknown_name", unknown(context["tag"], known))
    if kind in OURS:
        return Mistake(at, OURS[kind], detail["msg"])
    if kind == "missing" and isinstance(loc[-1], int):  # of a fixed number of entries
        return Mistake(at, "out_of_range", f"must have at least {loc[-1] + 1} entries")
    if kind == "missing" and not at.endswith(f"/{loc[-1]}"):
        return Mistake(at, "missing", f"`{loc[-1]}` is required")
    if kind == "too_short" and context["min_length"] == 1:
        return Mistake(at, "out_of_range", "must have at least 1 entry")
    code, text = SENTENCES.get(kind, ("wrong_type", "is not of the expected form"))
    return Mistake(at, code, text.format(**context))


def pointer(loc: tuple[int | str, ...], raw: Any, kind: str) -> str:
    """pydantic's location as a JSON Pointer: steps that only name a union's arm are left out."""
    steps: list[str] = []
    told = True  # whether the word at this place was named; the whole is no word
    for i, step in enumerate(loc):
        if not told and isinstance(raw, dict) and raw.get("type") == step:
            told = True
            continue
        absent = kind == "missing" and i == len(loc) - 1
        if isinstance(raw, dict) and (step in raw or absent):
            raw = raw.get(step)
        elif isinstance(raw, list) and isinstance(step, int) and step < len(raw):
            raw = raw[step]
        else:
            continue
        told = False
        steps.append(escaped(str(step)))
    return "".join(f"/{step}" for step in steps)


def escaped(name: str) -> str:
    """A name as a step of a JSON Pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def lookup(raw: Any, at: str) -> Any:
    """The value that a pointer made by ``pointer`` leads to."""
    for step in at.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        raw = raw[int(key)] if isinstance(raw, list) else raw[key]
    return raw


def fields_at(loc: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The names of the fields that may stand at ``loc``."""
    arms: list[type[BaseModel]] = [model]
    for step in loc:
        named = [arm for arm in arms if step in tags(arm)]
        deeper = [
            m
            for arm in arms
            if step in arm.model_fields
            for m in models_in(arm.model_fields[str(step)].annotation)
        ]
        arms = deeper or named or arms
    return [name for arm in arms for name in arm.model_fields]


def tags(model: type[BaseModel]) -> tuple[str, ...]:
    """The name of a catalogue word, by which pydantic refers to its arm of the union."""
    field = model.model_fields.get("type")
    return (str(field.default),) if field else ()


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Every model class inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]
