"""A checkpoint to finished .tflite files in one call: converted, measured against the float model, judged, written."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.agreement import Agreement, measure_agreement
from edge_nima.card import Card
from edge_nima.comparison import Comparison, LayerError, compare
from edge_nima.decode import Pixels
from edge_nima.errors import CalibrationError, CheckpointError, RequestError
from edge_nima.gate import Gate, judge, load_gate, probe_tolerance
from edge_nima.interpreter import Interpreter
from edge_nima.names import name_of
from edge_nima.photographs import find_photographs
from edge_nima.pixels import Preprocessing
from edge_nima.records import ScoreRecord
from edge_nima.registry import locate
from edge_nima.scorer import load_model
from edge_nima.verdict import Verdict
from edge_nima_convert.calibration import Calibration, read_calibration
from edge_nima_convert.evaluation import EvaluationSet, read_evaluation, write_reference
from edge_nima_convert.output import Files, Work, make_folder, write
from edge_nima_convert.photographs import Given, Inputs, PathLike, Pool, find_pool, find_pools, log
from edge_nima_convert.probes import model_input, pictures_from_card, pictures_from_photographs, score_probes
from edge_nima_convert.recipes import AUTO, Progress, Recipe, Source, find_recipe, ladder
from edge_nima_convert.tflite.card import embed_card
from edge_nima_convert.tflite.keras import quiet_tensorflow
from edge_nima_train.backend import start_tensorflow
from edge_nima_train.checkpoint import Checkpoint, open_checkpoint
from edge_nima_train.manifest import TEST

_ASKING = "the float model's opinion"


def _silent(stage: str, done: int, total: int, note: str) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Conversion:
    """A finished .tflite with what it cost."""

    recipe: str
    content: bytes = field(repr=False)
    """The file, card included."""
    card: Card = field(repr=False)
    comparison: Comparison = field(repr=False)
    """With the float model, photograph by photograph."""
    seconds: float
    path: Path | None = None
    """Where it was written."""
    layers: tuple[LayerError, ...] = ()
    """What each layer costs, where that was asked for."""
    calibration: bytes | None = field(default=None, repr=False)
    """JSON that describes the photographs that calibrated."""

    @property
    def agreement(self) -> Agreement:
        """With the float model."""
        return self.comparison.agreement

    @property
    def verdict(self) -> Verdict:
        """What the gate says of that."""
        assert self.card.gate is not None
        return self.card.gate

    @property
    def size(self) -> int:
        """Bytes, card included."""
        return len(self.content)

    def write(self, folder: PathLike) -> Path:
        """Write NAME-RECIPE.tflite and, where photographs calibrated, NAME.calibration.json; each appears whole.

        Raises:
            OutputError: a file cannot be written.
        """
        path = Path(folder) / f"{self.card.name}.tflite"
        make_folder(path.parent)
        write(path, self.content)
        if self.calibration is not None:
            name = self.card.name.removesuffix(f"-{self.recipe}")
            write(path.with_name(f"{name}.calibration.json"), self.calibration)
        return path


def convert(
    checkpoint: PathLike | Checkpoint,
    recipes: str | Sequence[str] = ("float16",),
    *,
    calibration: Given | None = None,
    evaluate: Given | None = None,
    gate: Gate | PathLike | None = None,
    probes: Sequence[PathLike] = (),
    out: PathLike | None = None,
    reference: PathLike | None = None,
    report: PathLike | None = None,
    explain: bool = False,
    keep_all: bool = False,
    overwrite: bool = False,
    progress: Progress = _silent,
    finished: Callable[[Conversion], None] = lambda _: None,
    **stated: Any,
) -> list[Conversion]:
    """Convert a checkpoint, and measure and judge each conversion against the float model.

    Photographs that calibrate never judge. What is left out, assumed or doubtful is logged to "edge_nima_convert". An
    interrupted call that is made again with the same `out` goes on where it was.

    Args:
        checkpoint: a path, a known name, or what `open_checkpoint` gave.
        recipes: names; or "auto", the rungs of the ladder in turn until one passes the gate.
        calibration: photographs that set integer ranges; of a manifest its train split.
        evaluate: photographs that judge; of a manifest its test split. Without any, nothing can pass.
        gate: tolerances, or their file; None for the default ones.
        probes: photographs to make golden probes of; those of the bundled model without any.
        out: folder to write to; None to keep all in memory.
        reference: file for the float model's records of the photographs that judge, .jsonl or .csv.
        report: folder for a page and a JSON document of each conversion, or one .html or .json.
        explain: measure what each layer costs, in recipes that calibrate.
        keep_all: with "auto", write all that was tried.
        overwrite: replace files.
        progress: called with stage, how much is done, of how much, and a note.
        finished: called with each conversion as soon as it is judged.
        stated: of a checkpoint that is opened here, as `open_checkpoint` takes it: name, filter, fit, ...

    Returns:
        The conversions in the order in which they were made; those that were written have a `path`.
    """
    climbs, chosen = _choose(recipes, calibration is not None, evaluate is not None, keep_all, explain)
    tolerances = gate if isinstance(gate, Gate) else load_gate(gate)
    needed = any(recipe.calibrates for recipe in chosen)
    pools = find_pools(calibration if needed else None, evaluate)
    opened = _open(checkpoint, stated)
    files = Files(opened.name, _path(out), _path(reference), _path(report), overwrite)
    with Work(files.out and files.out / f".{opened.name}.work") as work:
        files.check([recipe.name for recipe in chosen], climbs)
        job = _Job(opened, tolerances, work, files, progress, finished)
        job.read(*pools, probes)
        made = job.climb(chosen, keep_all) if climbs else [job.keep(job.convert(recipe)) for recipe in chosen]
        return job.finish(made, explain)


def reference(
    checkpoint: PathLike | Checkpoint,
    photographs: Given | None,
    out: PathLike | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = _silent,
    **stated: Any,
) -> list[ScoreRecord]:
    """The float model's opinion of photographs, as score records with which a device's records can be compared.

    Args:
        checkpoint: as `convert`.
        photographs: of a manifest its test split.
        out: file to write them to, .jsonl or .csv.
        overwrite: replace it.
        progress: as `convert`.
        stated: as `convert`.

    Raises:
        EdgeNimaError: what cannot be, in one line.
    """
    if photographs is None:
        raise RequestError("a reference is the float model's opinion of photographs: --evaluate PHOTOS")
    file = _path(out)
    Files("", None, file, None, overwrite).check([], climbs=False)
    pool = find_pool(photographs, TEST)
    opened = _open(checkpoint, stated)
    predict = Work().remember("", opened.predict, progress, _ASKING)
    _, records = read_evaluation(pool, opened.label, opened.preprocessing, predict, (), progress)
    if file is not None:
        write_reference(file, records)
    return [record for record, _ in records]


class _Job:
    """What the conversions of one call share, made once."""

    def __init__(
        self, checkpoint: Checkpoint, gate: Gate, work: Work, files: Files, progress: Progress,
        finished: Callable[[Conversion], None],
    ) -> None:  # fmt: skip
        self.checkpoint, self.gate, self.work, self.files = checkpoint, gate, work, files
        self.progress, self.finished = progress, finished
        self.how = checkpoint.preprocessing
        self.who = f"{self.how} {sorted(checkpoint.source.items())}"
        self.predict = work.remember(self.who, checkpoint.predict, progress, _ASKING)
        self.plain: dict[str, bytes] = {}
        self.done: list[str] = []

    def read(self, calibrates: Pool | None, judges: Pool | None, probes: Sequence[PathLike]) -> None:
        """Read the photographs that calibrate, judge, and become probes."""
        self.calibration: Calibration | None = None
        if calibrates:
            self.calibration = read_calibration(calibrates, self.how, self.predict, self.progress)
        inputs = self.calibration.inputs if self.calibration else None
        self.source = Source(self.checkpoint, inputs.pixels if inputs else None, self.progress)
        if self.calibration:
            self.files.check_calibration(self.calibration.document())
        own = pictures_from_photographs(find_photographs(probes)) if probes else None
        self.pictures = own or pictures_from_card(load_model().card)
        if judges is None:
            self.evaluation = self._unjudged(inputs)
            return
        self.evaluation, records = read_evaluation(
            judges, self.checkpoint.label, self.how, self.predict, inputs.sha256 if inputs else (), self.progress
        )
        if self.files.reference is not None:
            write_reference(self.files.reference, records)

    def _unjudged(self, inputs: Inputs | None) -> EvaluationSet:
        """What there is to measure on without photographs that judge, which proves nothing."""
        if inputs is not None:
            pixels, names = inputs.pixels, tuple(map(name_of, inputs.paths))
            on, gives = f"the {len(names)} calibration photographs themselves", "an honest number"
        else:
            pixels, names = self._probes(), tuple(picture.name for picture in self.pictures)
            on, gives = f"the {len(names)} golden probes", "a number to rely on"
        log.warning(f"agreement is measured on {on} only; --evaluate PHOTOS gives {gives}")
        return EvaluationSet(pixels, self.predict(pixels), names, on, f"measured on {on}")

    def _probes(self) -> Pixels:
        return np.stack([model_input(picture, self.how) for picture in self.pictures])

    def climb(self, rungs: Sequence[Recipe], keep_all: bool) -> list[Conversion]:
        """Convert by each rung until one passes; keep that, or the one nearest to the float model."""
        n = len(self.evaluation.names)
        if n < self.gate.fewest:
            needs = f"--recipe auto needs {self.gate.fewest} photographs or more to judge by"
            raise RequestError(f"{needs}; --evaluate gives {n}")
        made: list[Conversion] = []
        why: list[str] = []
        for recipe in rungs:
            try:
                made.append(self.convert(recipe))
            except CheckpointError as error:
                log.warning(f"{recipe.name} cannot be made of this checkpoint, going on: {error}")
                why.append(f"{recipe.name} cannot be made")
                if recipe is rungs[-1] and not made:
                    raise
                continue
            verdict = made[-1].verdict
            if verdict.status == "passed":
                break
            why.append(f"{recipe.name} has {', '.join(map(str, verdict.failures[:2])) or verdict.told()}")
        best = best_of(made)
        if best.verdict.status == "passed" and why:
            log.info(f"{best.recipe} is the honest answer: {'; '.join(why)}")
        elif best.verdict.status != "passed":
            tried = ", ".join(one.recipe for one in made)
            log.warning(f"none of {tried} passes the gate; kept is the nearest to float: {best.recipe}")
        return [self.keep(one) if keep_all or one is best else one for one in made]

    def convert(self, recipe: Recipe) -> Conversion:
        """Convert, measure and judge."""
        log.info(f"converting to {recipe.name}: {recipe.what}")
        started = perf_counter()
        content, used, on = self._make(recipe), self._used(recipe), self.evaluation
        name = f"{self.checkpoint.name}-{recipe.name}"
        same = next((earlier for earlier in self.done if self.plain[earlier] == content), None)
        if same:
            log.info(f"{recipe.name} changed nothing: it is {same} once more")
        self.done.append(recipe.name)
        comparison = compare(
            on.names, on.reference, self._opinion(recipe.name), on.people,
            reference_name=f"{self.checkpoint.name} (float)", candidate_name=name, on=on.on,
            people_source=on.people_source, inferred=on.inferred, preprocessing=self.how.describe(),
            warnings=[on.seen] if on.seen else (),
        )  # fmt: skip
        card = self._card(name, recipe, comparison)
        # The size is judged with a verdict in the card already: one that passes is the very same, of the same length.
        size = len(embed_card(content, replace(card, gate=self._judge(comparison))))
        card = replace(card, gate=self._judge(comparison, size))
        one = Conversion(
            recipe.name, embed_card(content, card), card, comparison, perf_counter() - started,
            calibration=used.document() if used else None,
        )  # fmt: skip
        self.finished(one)
        return one

    def _used(self, recipe: Recipe) -> Calibration | None:
        return self.calibration if recipe.calibrates else None

    def _make(self, recipe: Recipe) -> bytes:
        """The .tflite without its card."""
        if recipe.name in self.plain:
            return self.plain[recipe.name]
        used = self._used(recipe)
        photographs = used.inputs.sha256 if used else ()
        key = ("model", self.who, recipe.name, *_versions().values(), *photographs)
        self.plain[recipe.name] = self.work.keep(key, lambda: recipe(self.source))
        return self.plain[recipe.name]

    def _opinion(self, recipe: str) -> NDArray[np.float32]:
        """What a conversion says of the photographs that judge: float32, shape (n, 10)."""
        model, stage = self.plain[recipe], f"measuring {recipe}"
        who, predict = hashlib.sha256(model).hexdigest(), partial(score_pixels, model, self.how)
        return self.work.remember(who, predict, self.progress, stage)(self.evaluation.pixels)

    @cached_property
    def control(self) -> Agreement | None:
        """What float16 shows on the photographs that judge; None where they prove nothing or it cannot be made."""
        if self.evaluation.seen:
            return None
        try:
            self._make(find_recipe("float16"))
        except (CheckpointError, CalibrationError):
            return None
        return measure_agreement(self.evaluation.reference, self._opinion("float16"))

    def _judge(self, comparison: Comparison, size: int | None = None) -> Verdict:
        return judge(self.gate, comparison, control=self.control, seen=self.evaluation.seen, size=size)

    def _card(self, name: str, recipe: Recipe, comparison: Comparison) -> Card:
        agreement = {"with": "the float checkpoint", "on": comparison.on, **asdict(comparison.agreement)}
        people = comparison.against_people
        if people is not None:
            agreement |= {
                "people": people.source, "people_n": people.n, "people_srcc": people.candidate.srcc.value,
                "people_srcc_float": people.reference.srcc.value,
            }  # fmt: skip
        expected, used = self.predict(self._probes()), self._used(recipe)
        return Card(
            name, self.how, recipe.name, self.checkpoint.licence, self.checkpoint.attribution, self.checkpoint.source,
            _versions(), agreement=agreement, tolerance=probe_tolerance(comparison.agreement, recipe.integer),
            calibration=used.summary() if used else None,
            probes=score_probes(self.pictures, self.checkpoint, self.plain[recipe.name], expected),
        )  # fmt: skip

    def keep(self, one: Conversion) -> Conversion:
        """Write a conversion where there is a folder for it."""
        return one if self.files.out is None else replace(one, path=one.write(self.files.out))

    def finish(self, made: list[Conversion], explain: bool) -> list[Conversion]:
        """Explain what is kept, write reports, and say what the gate has not passed."""
        for place, one in enumerate(made):
            kept = self.files.out is None or one.path is not None
            if explain and kept and one.calibration is not None:
                from edge_nima_convert.explain import explain_layers

                layers = explain_layers(self.source, one.content, self.progress)
                made[place] = one = replace(one, layers=tuple(layers))
            self.files.write_reports(one)
            if kept and one.verdict.status == "failed":
                log.warning(f"{one.recipe} failed the gate: {one.verdict.told()}")
        unjudged = [one for one in made if one.verdict.status == "not judged"]
        if unjudged:
            log.warning(f"the gate has not judged {unjudged[0].recipe}: {unjudged[0].verdict.told()}")
        return made


def best_of(made: Sequence[Conversion]) -> Conversion:
    """The smallest that passed its gate; where none did, the one nearest to the float model by MAE."""
    passed = [one for one in made if one.verdict.status == "passed"]
    if passed:
        return min(passed, key=lambda one: one.size)
    return min(made, key=lambda one: (not np.isfinite(one.agreement.mae), one.agreement.mae))


def score_pixels(model: bytes, how: Preprocessing, pixels: Pixels) -> NDArray[np.float32]:
    """What a .tflite, with or without a card, says of inputs, uint8 (n, height, width, 3): float32 (n, 10)."""
    interpreter = Interpreter(model, how, threads=1)
    distributions = []
    for picture in pixels:
        interpreter.pixels[...] = picture
        distributions.append(interpreter.run())
    return np.array(distributions, np.float32)


def _choose(
    names: str | Sequence[str], calibrated: bool, judged: bool, keep_all: bool, explain: bool
) -> tuple[bool, list[Recipe]]:
    """Whether the ladder is climbed, and what to make, in order; what cannot be is refused before any work."""
    given = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    climbs = AUTO in given
    if climbs and given != [AUTO]:
        raise RequestError("--recipe auto chooses by itself; leave out the other --recipe")
    if keep_all and not climbs:
        raise RequestError("--keep-all goes with --recipe auto; without it every recipe's file is kept")
    if climbs and not judged:
        raise RequestError("--recipe auto needs photographs to judge by: --evaluate PHOTOS, not those that calibrate")
    chosen = ladder() if climbs else [find_recipe(name) for name in given]
    needy = [recipe for recipe in chosen if recipe.needs_calibration]
    if needy and not calibrated:
        raise RequestError(f"recipe {needy[0].name} needs photographs to calibrate with: --calibration PHOTOS")
    if explain and not needy:
        raise RequestError("--explain is of recipes that calibrate (int8, ...); give one with --recipe")
    return climbs, chosen


def _open(checkpoint: PathLike | Checkpoint, stated: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint; what was assumed of it is said."""
    with quiet_tensorflow():
        start_tensorflow()
        opened = checkpoint if isinstance(checkpoint, Checkpoint) else open_checkpoint(locate(checkpoint), **stated)
    for note in opened.notes:
        log.warning(note)
    return opened


def _path(given: PathLike | None) -> Path | None:
    return None if given is None else Path(given)


def _versions() -> dict[str, str]:
    packages = ("edge-nima", "tensorflow", "keras")
    return {package: version(package) for package in packages} | {"python": platform.python_version()}
