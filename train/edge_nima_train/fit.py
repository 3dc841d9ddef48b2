"""A training run from beginning to end: the last layer on frozen features, then all layers; resumable at any moment."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.agreement import pearson, spearman
from edge_nima.distribution import BINS, earth_movers_distance, mean_rating
from edge_nima.errors import RequestError, TrainingError, printable
from edge_nima_train import backend, stages
from edge_nima_train.config import Config, HeadPhase, Phase, make_config
from edge_nima_train.features import cached_features
from edge_nima_train.hosts import Hosts, hosts_of
from edge_nima_train.inputs import open_inputs
from edge_nima_train.loader import Loader
from edge_nima_train.loss import loss_of, smooth
from edge_nima_train.manifest import TRAIN, VALIDATION
from edge_nima_train.network import features_of, in_float32, preprocessing_of, set_weights
from edge_nima_train.order import Epoch, draw_shares, draw_views, plan_epoch, plan_view
from edge_nima_train.run_folder import MAY_DIFFER, RunFolder
from edge_nima_train.shards import Shards
from edge_nima_train.start import IMAGENET, NOTHING, start_network, weights_path
from edge_nima_train.state import Position, State, from_bytes, load_state, save_state, to_bytes
from edge_nima_train.steps import Steps, one_ahead, steps_of

LOSSES_READ_EVERY_S = 0.5
"""To read a loss is to wait for the device: steps go on without that in between."""
_SAME_ANSWER = 1e-6
"""Rating points: with a smaller spread of its answers a network says the same of every photograph."""

_CERTAIN = 0.999
"""A share of one rating: an untrained network also says the same of every photograph, but not with certainty."""

_OWN_PATHS = ("data.shards", "data.manifest", "data.images", "network.weights")
"""Keys that may differ from one process of a run to the next; the photographs themselves are compared."""

Features = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Of the training photographs' views, (views, n, width), and of those that validate, (m, width)."""


@dataclass(frozen=True)
class Watch:
    """Who looks on: all of it may be called often and must return soon."""

    progress: Callable[[str, int, int, str], None] = lambda stage, done, total, note: None
    """Stage, how much of it is done, of how much, a note."""
    told: Callable[[str], None] = lambda line: None
    """A line for a person."""
    stopping: Callable[[], bool] = lambda: False
    """Whether to stop after this step, with everything saved."""


class Stopped(Exception):
    """Training was asked to stop and has saved where it is."""

    exit_code = 130

    def __str__(self) -> str:
        return "it was asked to stop"


def fit(config: Config, out: Path, *, overwrite: bool = False, watch: Watch = Watch()) -> RunFolder | None:
    """Train. Killed at any moment, the same call goes on from the last saved state and ends with the same weights.

    It starts processes: a program calls it under `if __name__ == "__main__":`. Where it is one of several processes
    (see `hosts`), it ends this one, with a line on stderr, when another has ended or cannot be reached.

    Args:
        config: all of it.
        out: the run folder; of several processes the first alone reads and writes it.
        overwrite: start anew where a run of any configuration is; where only phase 2 is another, phase 1 is kept.
        watch: who looks on.

    Returns:
        The run folder, complete; None in every process but the first.

    Raises:
        RequestError: a folder of another configuration, photographs or weights that are not there, or a state that does
            not fit.
        CheckpointError: weights of another architecture.
        TrainingError: the loss is no number any more, or every photograph is given the same answer.
        OutputError: something cannot be written.
        Stopped: as `watch` asked.
    """
    hosts = hosts_of(config.run.devices)
    _check_batches(config, hosts)
    if hosts.first and config.network.weights not in (IMAGENET, NOTHING):
        weights_path(config.network.weights)
    with hosts:
        hosts.join(watch.told, watch.stopping)
        if not hosts.first:
            watch.told(f"process {hosts.index} of {hosts.count}: what comes of the run is kept by process 0")
            watch = Watch(stopping=watch.stopping)
        with RunFolder(hosts.folder(out), config, overwrite=overwrite) as folder:
            if _compare(config, hosts, folder.done):
                watch.told(f"'{printable(out)}' is complete; --overwrite trains anew")
                return folder if hosts.first else None
            backend.prepare(config.run)
            shards = open_inputs(config, folder, watch.progress, watch.told)
            _compare_photographs(shards, hosts)
            batch = max(config.phase1.batch, config.phase2.batch)
            with Loader(shards, batch, config.run.workers) as loader:
                _Training(config, folder, loader, watch, hosts).run()
            return folder if hosts.first else None


class _Training:
    """One run: what its steps share."""

    model: Any
    optimizer: Any
    steps: Steps

    def __init__(self, config: Config, folder: RunFolder, loader: Loader, watch: Watch, hosts: Hosts) -> None:
        self.config, self.folder, self.loader, self.watch, self.hosts = config, folder, loader, watch, hosts
        self.shards = loader.shards
        self.rows, self.judges = rows_of(self.shards, TRAIN), rows_of(self.shards, VALIDATION)
        self.own_judges = self.judges[hosts.index :: hosts.count]
        n = config.network
        self.how = preprocessing_of(
            n.architecture, n.input, config.data.filter, config.data.fit, config.data.longest_edge
        )
        self.targets = smooth(self.shards.distributions, config.loss.label_smoothing).astype(np.float32)
        self.slack = self.shards.size - n.input
        self.shares = draw_shares(self.shards.means[self.rows], self.shards.weights, self.rows, config.augment.rare)
        # Weights are read by the first process alone: the others have its state before anything is computed.
        own = config if hosts.first else replace(config, network=replace(config.network, weights=NOTHING))
        self.network = start_network(own)
        stages.check_freeze(self.network, config.phase2.freeze)
        # What is kept, and what is judged: a checkpoint of half precision would not convert.
        self.export = in_float32(self.network) if config.run.precision != "float32" else self.network
        self.saved_at = monotonic()

    def run(self) -> None:
        """Both phases from wherever they are."""
        state = load_state(self.folder / "state.npz")
        self._describe(state is None)
        if state is not None:
            done = len(state.position.history)
            self.watch.told(f"going on with phase {state.position.phase}, {done} epochs are done")
        elif self.hosts.first:
            if self.config.network.batch_norm == "re-estimated":
                self._reestimate()
            state = State(Position(), stages.values_of(self.network.variables), [])
            save_state(self.folder / "state.npz", state)
        state = from_bytes(self.hosts.gather(to_bytes(state) if state else b"")[0])
        _assign(self.network.variables, state.network, "network")
        self.at, held = state.position, state.optimizer
        for number, phase in ((1, self.config.phase1), (2, self.config.phase2)):
            if self.at.phase == number:
                self._phase(number, phase, held)
                held = []
                if number == 1:
                    self._to_phase_2()
        self._finish()

    def _describe(self, first: bool) -> None:
        environment = backend.environment()
        if first:
            self.folder.write_json("environment.json", environment)
        self.folder.write_preprocessing(self.how)
        self.folder.write_photographs(self.shards)
        self.folder.write_text("architecture.json", self.network.to_json(indent=1) + "\n")
        note = "; histograms are inferred from means (maximum entropy)" if self.shards.inferred else ""
        self.watch.told(
            f"{len(self.rows)} photographs to train on, {len(self.judges)} to validate{note}; "
            f"{self.config.network.architecture} on {environment['backend']}"
        )

    def _phase(self, number: int, phase: Phase, held: list[NDArray[Any]]) -> None:
        if phase.epochs == 0:
            return
        if isinstance(phase, HeadPhase):
            stages.freeze_base(self.network)
        else:
            stages.thaw(self.network, self.config.phase2.freeze, self.config.phase2.batch_norm)
        self._bring_to_export()  # features of the photographs that validate are of its base
        features = self._features(phase) if isinstance(phase, HeadPhase) and phase.views else None
        devices = self.hosts.count * self.hosts.devices
        self.size = min(phase.batch, len(self.rows) // devices * devices)
        if not self.size:
            raise RequestError(f"{len(self.rows)} photographs to train on are fewer than the {devices} devices")
        if features:
            self.model, self.judge = (stages.head_on_features(one) for one in (self.network, self.export))
        else:
            self.model = stages.from_crops(self.network, self.how)
            self.judge = stages.from_pixels(self.export, self.how)
        self.optimizer = stages.optimizer_for(self.model, phase, len(self.rows) // self.size)
        if held:
            _assign(self.optimizer.variables, held, "optimiser")
        self.steps = steps_of(self.model, self.optimizer, loss_of(self.config.loss.kind), hosts=self.hosts)
        while self.at.epoch < phase.epochs:
            self._epoch(number, phase, features)
            if phase.patience and self.at.stale >= phase.patience:
                self.watch.told(f"phase {number}: no better for {self.at.stale} epochs, it ends here")
                break

    def _epoch(self, number: int, phase: Phase, features: Features | None) -> None:
        augment = self.config.augment
        plan = plan_epoch(
            self.config.run.seed, number, self.at.epoch, self.rows, batch=self.size, slack=self.slack,
            crop=augment.crop, flip=augment.flip, shares=self.shares,
        )  # fmt: skip
        steps, already = len(plan) // self.size, self.at.seconds
        began, waited = perf_counter() - already, self.loader.waited_s
        what = f"phase {number}, epoch {self.at.epoch + 1}/{phase.epochs}"
        first, unread, read_at = self.at.step, list[Any](), monotonic()
        for step, batch in enumerate(one_ahead(self.steps, self._batches(plan, features)), first + 1):
            unread.append(self.steps(*batch))
            stopping = self.hosts.agree(self.watch.stopping())
            saving = 0 < self.config.run.save_minutes * 60 < monotonic() - self.saved_at
            if stopping or saving or step == steps or monotonic() - read_at > LOSSES_READ_EVERY_S:
                self._read_losses(number, plan, unread)
                read_at, self.at.seconds = monotonic(), perf_counter() - began
                rate = (step - first) * self.size / (self.at.seconds - already)
                self.watch.progress(what, step, steps, f"loss {np.mean(self.at.losses):.5f}, {rate:.0f}/s")
            if stopping or saving:
                self._save()
            if stopping:
                raise Stopped
        rate = stages.learning_rate(phase, (self.at.epoch + 1) * steps - 1, steps)
        self._end_epoch(
            number, phase, features,
            {"learning_rate": rate, "photographs": len(plan), "waited_for_data": self.loader.waited_s - waited},
            began,
        )  # fmt: skip

    def _read_losses(self, number: int, plan: Epoch, unread: list[Any]) -> None:
        """Wait for the device, and take the losses of the steps that it has done."""
        for value in unread:
            loss, done = float(value), self.at.step * self.size
            if not math.isfinite(loss):
                self._refuse_loss(number, loss, plan.rows[done : done + self.size])
            self.at.losses.append(loss)
            self.at.step += 1
        unread.clear()

    def _batches(self, plan: Epoch, features: Features | None) -> Iterator[tuple[Any, Any]]:
        """Inputs and targets from where the epoch is."""
        places = self.hosts.share(len(plan), self.size)
        own, first, size = plan.at(places), self.at.step, self.size // self.hosts.count
        parts = [slice(start, start + size) for start in range(first * size, len(own), size)]
        if features is None:
            cut = self.loader.batches(own, self.how.width, size, first)
            for part, pixels in zip(parts, cut, strict=True):
                yield [pixels, own.mirrored[part]], self.targets[own.rows[part]]
            return
        views = features[0]
        place = np.full(len(self.shards), -1)
        place[self.rows] = np.arange(len(self.rows))
        chosen = draw_views(self.config.run.seed, self.at.epoch, len(views), len(plan))[places]
        for part in parts:
            yield views[chosen[part], place[own.rows[part]]], self.targets[own.rows[part]]

    def _end_epoch(
        self, number: int, phase: Phase, features: Features | None, more: dict[str, Any], began: float
    ) -> None:
        at, loss = self.at, float(np.mean(self.at.losses))
        more["waited_for_data"] = round(more["waited_for_data"] / (perf_counter() - began), 4)
        self.steps.sync()
        averaged = stages.swap_average(self.optimizer)
        self._bring_to_export()
        judged = self._judge(number, phase, features)
        better = at.best is None or judged["val_loss"] < at.best
        if better:
            at.best = judged["val_loss"]
            self.folder.save_model("model.keras", self.export)
        if not averaged or at.epoch + 1 == phase.epochs or phase.patience:
            self.folder.save_model("last.keras", self.export)
        if averaged:
            stages.swap_average(self.optimizer)
        at.stale = 0 if at.phase_best is None or judged["val_loss"] < at.phase_best else at.stale + 1
        at.phase_best = judged["val_loss"] if at.stale == 0 else at.phase_best
        took = perf_counter() - began
        line = {
            "phase": number, "epoch": at.epoch + 1, "loss": loss, **judged, "best": better, **more,
            "seconds": round(took, 3), "photographs_per_second": round(more["photographs"] / at.seconds, 1),
        }  # fmt: skip
        at.history.append({key: _finite(value) for key, value in line.items()})
        self.folder.write_steps(number, at.epoch + 1, at.losses)
        at.epoch, at.step, at.losses, at.seconds = at.epoch + 1, 0, [], 0.0
        self._save()
        self.folder.write_history(at.history)
        self._log(line)
        self.watch.told(
            f"phase {number}, epoch {at.epoch}/{phase.epochs}: loss {loss:.5f}, validation {judged['val_loss']:.5f}, "
            f"SRCC {judged['val_srcc']:.3f}, PLCC {judged['val_plcc']:.3f}, spread {judged['val_spread_ratio']:.2f}, "
            f"{took:.0f} s{' *' if better else ''}"
        )

    def _bring_to_export(self) -> None:
        if self.export is not self.network:
            set_weights(self.export, self.network.get_weights())

    def _judge(self, number: int, phase: Phase, features: Features | None) -> dict[str, float]:
        """Loss and statistics of what is exported on the validation photographs, on the pixels a device will see."""
        batches: Iterable[NDArray[Any]]
        if features is not None:
            batches = (features[1][start : start + phase.batch] for start in range(0, len(features[1]), phase.batch))
        else:
            batches = self.loader.pictures(self.own_judges, self.how.width, phase.batch)
        own = b"".join(part.tobytes() for part in stages.predictions(self.judge, batches, phase.batch))
        predicted = np.empty((len(self.judges), BINS))
        for i, part in enumerate(self.hosts.gather(own)):
            predicted[i :: self.hosts.count] = np.frombuffer(part, np.float32).reshape(-1, BINS)
        truth = self.shards.distributions[self.judges]
        if not np.isfinite(predicted).all():
            raise TrainingError(f"the network's answers are no numbers any more: lower phase{number}.learning_rate")
        predicted = predicted / predicted.sum(axis=1, keepdims=True)
        emd = earth_movers_distance(truth, predicted)
        people, means = self.shards.means[self.judges], mean_rating(predicted)
        last = number == 2 and self.at.epoch + 1 == phase.epochs
        if len(means) > 1 and means.std() < _SAME_ANSWER and (last or predicted.max() > _CERTAIN):
            raise TrainingError(
                f"after epoch {self.at.epoch + 1} of phase {number} the network gives all {len(means)} photographs of "
                f"the validation the same answer, {means[0]:.3f}: lower phase{number}.learning_rate, "
                f"{phase.learning_rate:g}"
            )
        spread = float(people.std())
        return {
            "val_loss": float((emd**2).mean() if self.config.loss.kind == "squared-emd" else emd.mean()),
            "val_emd_r2": float(emd.mean()),
            "val_emd_r1": float(earth_movers_distance(truth, predicted, r=1).mean()),
            "val_srcc": spearman(people, means),
            "val_plcc": pearson(people, means),
            "val_mae": float(np.abs(people - means).mean()),
            "val_spread_ratio": float(means.std()) / spread if spread > 0 else math.nan,
        }

    def _features(self, phase: HeadPhase) -> Features:
        base = stages.from_crops(features_of(self.network), self.how)
        plans = [self._view(view) for view in range(phase.views)]
        weights = hashlib.sha256()
        for values in self.network.get_weights()[:-2]:
            weights.update(np.ascontiguousarray(values).tobytes())

        def step(done: int, total: int) -> None:
            self.watch.progress("features of the frozen base", done, total, "")
            if self.watch.stopping():
                raise Stopped

        key = f"{weights.hexdigest()} {self.config.run.precision}"
        views = cached_features(self.folder / "features", base, self.loader, plans, phase.batch, key, step)
        exact = stages.from_pixels(features_of(self.export), self.how)
        pixels = self.loader.pictures(self.own_judges, self.how.width, phase.batch)
        none = np.empty((0, views.shape[-1]), np.float32)  # more processes than photographs
        return views, np.concatenate([none, *stages.predictions(exact, pixels, phase.batch)])

    def _view(self, view: int) -> Epoch:
        augment = self.config.augment
        return plan_view(
            self.config.run.seed, view, self.rows, self.slack, crop=augment.crop, flip=augment.flip
        )  # fmt: skip

    def _reestimate(self) -> None:
        self.watch.told("taking the statistics of batch normalisation anew")
        plan = self._view(0)
        some = np.random.default_rng(self.config.run.seed).permutation(len(plan))[:1024]
        batches = self.loader.batches(plan.at(some), self.how.width, min(64, self.loader.batch))
        stages.reestimate_batch_norm(self.network, batches, self.how)

    def _to_phase_2(self) -> None:
        self.at = replace(self.at, phase=2, epoch=0, step=0, losses=[], phase_best=None, stale=0)
        save_state(self.folder / "state.npz", State(self.at, stages.values_of(self.network.variables), []))
        self.folder.end_phase_1()

    def _save(self) -> None:
        self.steps.sync()
        network, optimizer = stages.values_of(self.network.variables), stages.values_of(self.optimizer.variables)
        save_state(self.folder / "state.npz", State(self.at, network, optimizer))
        self.saved_at = monotonic()

    def _refuse_loss(self, number: int, loss: float, rows: NDArray[np.intp]) -> None:
        names = ", ".join(printable(self.shards.names[row]) for row in rows[:3])
        raise TrainingError(
            f"the loss is {loss} in phase {number}, epoch {self.at.epoch + 1}, batch {self.at.step + 1} ({names} and "
            f"{max(len(rows) - 3, 0)} more); what was saved before is kept: lower phase{number}.learning_rate"
        )

    def _log(self, line: dict[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        at = len(self.at.history)
        # A file's name holds the second that it was begun in: two epochs may end within one.
        with SummaryWriter(str(self.folder / "tensorboard"), purge_step=at, filename_suffix=f".{at:05}") as writer:
            for key, value in line.items():
                if isinstance(value, float) and math.isfinite(value):
                    writer.add_scalar(key.replace("val_", "validation/"), value, at)

    def _finish(self) -> None:
        from edge_nima_train.history_plots import write_plots

        write_plots(self.folder, self.at.history)
        best = min(self.at.history, key=lambda line: line["val_loss"])
        seconds = float(round(sum(line["seconds"] for line in self.at.history), 1))
        self.folder.finish({"epochs": len(self.at.history), "seconds": seconds, "best": best})


def _check_batches(config: Config, hosts: Hosts) -> None:
    devices = hosts.count * hosts.devices
    for name, phase in (("phase1", config.phase1), ("phase2", config.phase2)):
        if phase.epochs and phase.batch % devices:
            raise RequestError(
                f"{name}.batch is {phase.batch}; {hosts.count} processes with run.devices = {hosts.devices} take a "
                f"multiple of {devices}"
            )


def _compare(config: Config, hosts: Hosts, done: bool) -> bool:
    """Whether the first process has nothing to do.

    Raises:
        RequestError: a process is configured otherwise than the first; where its files are may differ.
    """
    given = [json.loads(one) for one in hosts.gather(json.dumps([config.as_toml(), done]).encode())]
    first, *others = [make_config(tomllib.loads(toml), "") for toml, _ in given]
    for number, other in enumerate(others, 1):
        for key, difference in other.differences(first).items():
            if key not in MAY_DIFFER and key not in _OWN_PATHS:
                raise RequestError(f"process {number} is configured otherwise than process 0: {difference}")
    return bool(given[0][1])


def _compare_photographs(shards: Shards, hosts: Hosts) -> None:
    content = hashlib.sha256(repr((shards.image_ids, shards.sha256, shards.split)).encode())
    for column in (shards.distributions, shards.weights):
        content.update(b"" if column is None else np.ascontiguousarray(column).tobytes())
    first, *others = hosts.gather(f"{len(shards)} photographs, {content.hexdigest()[:12]}".encode())
    for number, other in enumerate(others, 1):
        if other != first:
            raise RequestError(
                f"process {number} has other photographs, ratings or splits than process 0 ({other.decode()}; "
                f"{first.decode()}): give both the same shards, as edge-nima data pack wrote them"
            )


def rows_of(shards: Shards, split: str) -> NDArray[np.intp]:
    """The rows of a split.

    Raises:
        RequestError: there are none.
    """
    rows = shards.rows(split)
    if not len(rows):
        raise RequestError(f"'{printable(shards.folder)}' has no photographs of split {split}: edge-nima data split")
    return rows


def _assign(variables: list[Any], values: list[NDArray[Any]], what: str) -> None:
    if [tuple(v.shape) for v in variables] != [v.shape for v in values]:
        raise RequestError(f"the saved state's {what} is another than this one: --overwrite starts the run anew")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
