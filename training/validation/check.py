"""The one gate for specifications: from decoded JSON to a plan, or to every mistake at once.

The API refuses with what ``check`` raises; the worker plans with what it returns. A section that
cannot be read does not hide the mistakes of the others. Imports no torch.
"""

import math
import sys
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from training.catalog import BUNDLED, Classes, Facts, ShapeError, Target
from training.catalog.metrics import DEFAULT_METRICS
from training.datasets import inline
from training.datasets.bundled import bundled
from training.datasets.splits import dealt, shares, without_examples
from training.datasets.uploaded import Resolver, nothing_stored
from training.spec.job_spec import STORED, InlineData, JobSpec
from training.spec.mistakes import Mistake, Mistakes, translate, unknown
from training.spec.plan import LayerPlan, LayerShapeError, Plan, infer_shapes
from training.validation import layer_checks, memory_estimate
from training.validation.size_limits import MAX_SECTION_VALUES, oversized


@dataclass(frozen=True)
class Limits:
    """The largest job that is accepted."""

    parameters: int = 200_000_000
    iterations: int = 100_000_000
    layers: int = 1_000
    inline_values: int = 100_000
    memory: int = sys.maxsize

    @property
    def values(self) -> int:
        """Of one section, but for inline data: names, numbers, lists, all that is counted."""
        # A layer has up to 24, with every default filled in, as it is when it is read again.
        return max(MAX_SECTION_VALUES, 50 * self.layers)


UNLIMITED = Limits(*5 * (sys.maxsize,))
"""For specifications that were accepted before: limits may have been lowered since."""

PLACEHOLDERS: dict[str, Any] = {
    "dataset": "iris",
    "model": ["relu"],
    "loss": "mse_loss",
    "optimizer": "sgd",
}
"""Stand in for required sections that cannot be read, so that the others can be."""


def check(raw: Any, limits: Limits | None = None, stored: Resolver = nothing_stored) -> Plan:
    """The plan of a specification given as decoded JSON; raises ``Mistakes``.

    ``stored`` knows the uploaded tables that the specification may name.
    """
    checked = Check(raw, limits or Limits(), stored)
    plan = checked.plan()
    if checked.wrong or plan is None:
        raise Mistakes(checked.wrong)
    return plan


class Check:
    """One reading of a specification; ``wrong`` collects what has to be mended.

    ``bad`` holds the sections that could not be read: nothing is concluded from them.
    """

    def __init__(self, raw: Any, limits: Limits, stored: Resolver) -> None:
        self.raw = raw
        self.limits = limits
        self.stored = stored
        self.wrong: list[Mistake] = []
        self.bad: set[str] = set()
        self.spec = self.read()

    def say(self, pointer: str, code: str, message: str) -> None:
        """One more mistake."""
        self.wrong.append(Mistake(pointer, code, message))

    def read(self) -> JobSpec:
        """The specification, with placeholders for the sections in ``bad``."""
        too_much = oversized(self.raw, self.limits.layers, self.limits.values)
        self.wrong += too_much.values()
        if "" in too_much:
            raise Mistakes(self.wrong)
        self.bad = set(too_much)
        raw = self.without_bad() if too_much else self.raw
        try:
            return JobSpec.model_validate(raw)
        except ValidationError as error:
            self.wrong += translate(error, JobSpec, raw)
            places = [detail["loc"] for detail in error.errors(include_url=False)]
        self.bad |= {str(loc[0]) for loc in places if loc} or set(JobSpec.model_fields)
        readable = self.without_bad()
        if layers := self.layers_before_the_first_bad(places):
            readable["model"] = layers
        return JobSpec.model_validate(readable)

    def without_bad(self) -> dict[str, Any]:
        """The specification as it came, with placeholders for the sections in ``bad``."""
        raw = self.raw if isinstance(self.raw, dict) else {}
        readable = {name: value for name, value in raw.items() if name not in self.bad}
        return readable | {name: PLACEHOLDERS[name] for name in self.bad & PLACEHOLDERS.keys()}

    def layers_before_the_first_bad(self, places: list[tuple[int | str, ...]]) -> list[Any]:
        """The layers whose shapes can still be followed."""
        indices = [loc[2] for loc in places if loc[:2] == ("model", "layers") and len(loc) > 2]
        model = self.raw.get("model") if isinstance(self.raw, dict) else None
        layers = model.get("layers") if isinstance(model, dict) else model
        first = min((i for i in indices if isinstance(i, int)), default=0)
        return layers[:first] if isinstance(layers, list) else []

    def plan(self) -> Plan | None:
        """The plan, or ``None`` when something it is made of is wrong."""
        facts = self.facts()
        rows = self.rows(facts) if facts else None
        batch_size = self.batch_size(rows)
        layers = self.layers(facts, batch_size) if facts else None
        iterations = self.iterations(rows, batch_size)
        if facts:
            self.evaluation(facts)
        if facts is None or rows is None or layers is None or batch_size is None or not iterations:
            return None
        spec = self.spec
        metrics = DEFAULT_METRICS[type(facts.target)] if spec.metrics is None else spec.metrics
        every = min(spec.evaluate_every or math.ceil(rows["train"] / batch_size), iterations)
        plan = Plan(spec, facts, layers, rows, batch_size, iterations, every, tuple(metrics))
        self.memory(plan)
        return plan

    def memory(self, plan: Plan) -> None:
        """Whether the job fits into the memory that one may take."""
        needed = memory_estimate.estimate(plan)
        if needed.total <= self.limits.memory:
            return
        of_batch = needed.gradients and needed.largest in ("activations", "batch")
        at = "/batch_size" if of_batch else "/dataset" if needed.largest == "data" else "/model"
        sentence = (
            f"needs about {needed.total / 1e9:.2f} GB of memory, most of it for its "
            f"{needed.largest}, more than the {self.limits.memory / 1e9:.2f} GB allowed "
            "(max_job_memory_bytes)"
        )
        self.say(at, "limit_exceeded", sentence)

    def facts(self) -> Facts | None:
        """What is known of the data; also whether the loss fits them."""
        spec = self.spec
        if "dataset" in self.bad:
            return None
        if not isinstance(spec.dataset, str):
            facts = self.inline_facts(spec.dataset)
        elif STORED.fullmatch(spec.dataset):
            facts = self.stored_facts(spec.dataset)
        else:
            facts = BUNDLED.get(spec.dataset)
        if facts is None and isinstance(spec.dataset, str):
            self.say("/dataset", "unknown_name", self.unknown_dataset(spec.dataset))
        if facts and "loss" not in self.bad and (reason := spec.loss.fits(facts.target)):
            self.say("/loss", "loss_target_mismatch", reason)
        return facts

    def stored_facts(self, dataset_id: str) -> Facts | None:
        """The facts of an uploaded table; the loss says what a target of whole numbers is."""
        table = self.stored(dataset_id)
        classes = self.spec.loss.classes
        return None if table is None else table.facts(classes=classes)

    def unknown_dataset(self, name: str) -> str:
        """The sentence for data that are not there; the same whoever else may have them."""
        if STORED.fullmatch(name):
            return "there is no data set with this id"
        return unknown(name, list(BUNDLED))

    def inline_facts(self, data: InlineData) -> Facts | None:
        """The facts of data that stand in the specification itself; the loss says what y is."""
        classes = self.spec.loss.classes
        if "loss" in self.bad:
            classes = any(isinstance(label, str) for label in data.y)
        try:
            return inline.facts(data, classes=classes, limit=self.limits.inline_values)
        except Mistakes as found:
            self.wrong += [m._replace(pointer="/dataset" + m.pointer) for m in found.mistakes]
            return None

    def rows(self, facts: Facts) -> dict[str, int] | None:
        """How many examples each split gets."""
        split = self.spec.split
        if "split" in self.bad:
            return None
        rows = shares(split, facts.rows)
        for name in ("validation", "test"):
            if getattr(split, name) > 0 and rows[name] == 0:
                self.say(f"/split/{name}", "empty_split", f"leaves no example of {facts.rows}")
        if rows["train"] < 1:
            self.say("/split", "empty_split", f"leaves no example of {facts.rows} to train on")
            return None
        self.classes(facts.target, rows)
        return rows

    def classes(self, target: Target, rows: dict[str, int]) -> None:
        """Whether every class is among the examples that are trained on, where that is known."""
        if not isinstance(target, Classes) or not target.counts:
            return
        train = dealt(target.counts, rows)["train"]
        absent = [label for label, count in zip(target.labels, train, strict=True) if not count]
        if absent:
            self.say("/split", "class_absent", without_examples(absent))

    def batch_size(self, rows: dict[str, int] | None) -> int | None:
        """Examples an iteration."""
        if "batch_size" in self.bad or rows is None:
            return None
        size = self.spec.batch_size
        return rows["train"] if size == "full" else size

    def iterations(self, rows: dict[str, int] | None, batch_size: int | None) -> int | None:
        """How many updates are planned: E epochs are ceil(E·N/B)."""
        spec = self.spec
        if {"iterations", "epochs"} & self.bad:
            return None
        if (spec.iterations is None) == (spec.epochs is None):
            both = spec.iterations is not None
            sentence = "exactly one of `iterations` and `epochs` must be given"
            self.say(
                "/epochs" if both else "/iterations", "conflict" if both else "missing", sentence
            )
            return None
        count = spec.iterations or 0
        if spec.epochs is not None:
            if rows is None or batch_size is None:
                return None
            count = -(-spec.epochs * rows["train"] // batch_size)
        if count > self.limits.iterations:
            at = "/iterations" if spec.epochs is None else "/epochs"
            sentence = f"{count} iterations are more than the {self.limits.iterations} allowed"
            self.say(at, "limit_exceeded", sentence)
        return count

    def evaluation(self, facts: Facts) -> None:
        """Whether the metrics fit the target, and what early stopping watches is measured."""
        spec = self.spec
        if "loss" in self.bad and (facts.inline or facts.columns):
            return  # whether y holds classes or numbers was a guess
        if "metrics" not in self.bad:
            self.metrics(facts.target)
        if spec.early_stopping is None or self.bad & {"early_stopping", "metrics", "split"}:
            return
        if spec.split.validation == 0:
            sentence = "needs validation data: set `split.validation` above 0"
            self.say("/early_stopping", "conflict", sentence)
        measured = DEFAULT_METRICS[type(facts.target)] if spec.metrics is None else spec.metrics
        watched = ["validation_loss", *(f"validation_{metric.type}" for metric in measured)]
        if spec.early_stopping.metric not in watched:
            sentence = unknown(spec.early_stopping.metric, watched)
            self.say("/early_stopping/metric", "unknown_name", sentence)

    def metrics(self, target: Target) -> None:
        """Whether the metrics can be measured on this target, each once."""
        seen = set[str]()
        for i, metric in enumerate(self.spec.metrics or ()):
            if reason := metric.fits(target):
                self.say(f"/metrics/{i}", "metric_target_mismatch", reason)
            elif metric.type in seen:
                self.say(f"/metrics/{i}", "conflict", f"`{metric.type}` is measured twice")
            seen.add(metric.type)

    def layers(self, facts: Facts, batch_size: int | None) -> tuple[LayerPlan, ...] | None:
        """The layers with their shapes, as far as they fit; ``None`` when they do not."""
        words = self.spec.model.layers
        at = "/model/layers" if isinstance(self.raw.get("model"), dict) else "/model"
        self.wrong += layer_checks.names(words, at)
        try:
            planned = infer_shapes(self.spec.model, facts.input_shape)
        except LayerShapeError as error:
            here = "".join(f"/{step}" for step in error.place)
            self.say(f"{at}{here}", "shape_mismatch", str(error))
            return None
        self.wrong += layer_checks.misplaced(planned, at, batch_size)
        self.indices(planned, facts)
        self.size(planned, at)
        self.output(planned, facts, f"{at}/{len(words) - 1}")
        return None if "model" in self.bad else planned

    def indices(self, layers: tuple[LayerPlan, ...], facts: Facts) -> None:
        """Whether an embedding is given what it can look up, as it stands in the data."""
        word, dataset = layer_checks.embedding(layers), self.spec.dataset
        if word is None:
            return
        if self.spec.prepare not in (None, "none"):
            sentence = "must be `none`: the embedding looks up the numbers as they are"
            self.say("/prepare", "conflict", sentence)
        if isinstance(dataset, str):
            if dataset not in BUNDLED:
                return  # it is looked at when it is loaded
            x, _ = bundled(dataset, facts)
            for place, sentence in layer_checks.unfit(x, word.num_embeddings)[:1]:
                self.say("/dataset", "out_of_range", f"row {place[0]}: {sentence}")
            return
        x, _ = inline.arrays(dataset, facts.target)
        for place, sentence in layer_checks.unfit(x, word.num_embeddings):
            steps = place if isinstance(dataset.x[0], list) else place[:1]
            at = "".join(f"/{i}" for i in steps)
            self.say(f"/dataset/x{at}", "out_of_range", sentence)

    def size(self, layers: tuple[LayerPlan, ...], at: str) -> None:
        """Whether the parameters fit the limit."""
        count = sum(math.prod(p.shape) for layer in layers for p in layer.parameters.values())
        if count > self.limits.parameters:
            sentence = f"{count} parameters are more than the {self.limits.parameters} allowed"
            self.say(at, "limit_exceeded", sentence)
        elif count == 0 and "model" not in self.bad:
            self.say(at, "nothing_to_train", "no layer has a parameter to train")

    def output(self, layers: tuple[LayerPlan, ...], facts: Facts, at: str) -> None:
        """Whether what comes out of the last layer fits loss and target."""
        loss = self.spec.loss
        if {"model", "loss"} & self.bad or loss.fits(facts.target):
            return
        if loss.after not in (None, layers[-1].word.type):
            sentence = (
                f"{loss.type} expects what {loss.after} puts out: make that the last layer, "
                "or use cross_entropy, which takes any numbers"
            )
            self.say("/loss", "conflict", sentence)
        try:
            loss.check(layers[-1].output_shape, facts.target)
        except ShapeError as error:
            self.say(at, "shape_mismatch", str(error))
