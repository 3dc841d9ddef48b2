"""A training run from beginning to end: the last layer on frozen features, then all layers; resumable at any moment."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.agreement import pearson, spearman
from edge_nima.distribution import Floats, earth_movers_distance, mean_rating
from edge_nima.errors import RequestError, TrainingError, printable
from edge_nima.pixels import Pixels
from edge_nima_train import backend, stages
from edge_nima_train.batches import Loader
from edge_nima_train.config import Config, HeadPhase, Phase
from edge_nima_train.features import cached_features, plan_view, shards_key
from edge_nima_train.loss import smooth
from edge_nima_train.manifest import TRAIN, VALIDATION
from edge_nima_train.material import draw_shares, material
from edge_nima_train.network import features_of, in_float32, preprocessing_of, set_weights
from edge_nima_train.order import Epoch, plan_epoch
from edge_nima_train.run_folder import RunFolder
from edge_nima_train.schedule import learning_rate
from edge_nima_train.shards import Shards
from edge_nima_train.start import IMAGENET, NOTHING, start_network, weights_path
from edge_nima_train.state import Position, State, load_state, save_state

EVALUATED_AT_ONCE = 64


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


def fit(config: Config, out: Path, *, overwrite: bool = False, watch: Watch = Watch()) -> RunFolder:
    """Train. Killed at any moment, the same call goes on from the last saved state and ends with the same weights.

    Args:
        config: all of it.
        out: the run folder.
        overwrite: start anew where a run of any configuration is.
        watch: who looks on.

    Returns:
        The run folder, complete.

    Raises:
        RequestError: a folder of another configuration, photographs or weights that are not there, or a state that does
            not fit.
        CheckpointError: weights of another architecture.
        TrainingError: the loss is no number any more.
        OutputError: something cannot be written.
        Stopped: as `watch` asked.
    """
    if config.network.weights not in (IMAGENET, NOTHING):
        weights_path(config.network.weights)
    with RunFolder(out, config, overwrite=overwrite) as folder:
        if folder.done:
            watch.told(f"'{printable(out)}' is complete; --overwrite trains anew")
            return folder
        backend.prepare(config.run)
        shards = material(config, folder, watch.progress, watch.told)
        with Loader(shards, config.network.input, config.run.workers) as loader:
            _Training(config, folder, shards, loader, watch).run()
        return folder


class _Training:
    """One run: what its steps share."""

    def __init__(self, config: Config, folder: RunFolder, shards: Shards, loader: Loader, watch: Watch) -> None:
        self.config, self.folder, self.shards, self.loader, self.watch = config, folder, shards, loader, watch
        self.rows, self.judges = shards.rows(TRAIN), shards.rows(VALIDATION)
        if not len(self.rows) or not len(self.judges):
            lacks = TRAIN if not len(self.rows) else VALIDATION
            raise RequestError(
                f"'{printable(shards.folder)}' has no photographs of split {lacks}: edge-nima data split"
            )
        n = config.network
        self.how = preprocessing_of(
            n.architecture, n.input, config.data.filter, config.data.fit, config.data.longest_edge
        )
        self.targets = smooth(shards.distributions, config.loss.label_smoothing).astype(np.float32)
        self.slack = shards.size - n.input
        self.shares = draw_shares(config, shards, self.rows)
        self.network = start_network(config)
        # For the files: a checkpoint of half precision would not convert.
        self.export = in_float32(self.network) if config.run.precision != "float32" else self.network
        self.saved_at = monotonic()

    def run(self) -> None:
        """Both phases from wherever they are."""
        state = load_state(self.folder / "state.npz")
        self._describe(state is None)
        if state is None:
            if self.config.network.batch_norm == "re-estimated":
                self._reestimate()
            state = State(Position(), self._network_state(), [])
            save_state(self.folder / "state.npz", state)
        else:
            _assign(self.network.variables, state.network, "network")
            done = len(state.position.history)
            self.watch.told(f"going on with phase {state.position.phase}, {done} epochs are done")
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
        features = self._features(phase) if isinstance(phase, HeadPhase) and phase.views else None
        self.model = stages.head_on_features(self.network) if features else stages.from_pixels(self.network, self.how)
        stages.compile_stage(self.model, phase, self.config)
        if held:
            _assign(self.model.optimizer.variables, held, "optimiser")
        while self.at.epoch < phase.epochs:
            self._epoch(number, phase, features)
            if phase.patience and self.at.stale >= phase.patience:
                self.watch.told(f"phase {number}: no better for {self.at.stale} epochs, it ends here")
                break

    def _epoch(self, number: int, phase: Phase, features: tuple[Floats, Floats] | None) -> None:
        plan = plan_epoch(
            self.config.run.seed, number, self.at.epoch, self.rows, batch=phase.batch, slack=self.slack,
            crop=self.config.augment.crop, flip=self.config.augment.flip, shares=self.shares,
        )  # fmt: skip
        size = min(phase.batch, len(plan))
        steps = len(plan) // size
        began, waited = perf_counter() - self.at.seconds, self.loader.waited_s
        what = f"phase {number}, epoch {self.at.epoch + 1}/{phase.epochs}"
        for inputs, rows in self._batches(number, phase, plan, features):
            rate = learning_rate(phase, self.at.epoch * steps + self.at.step, steps)
            self.model.optimizer.learning_rate = rate
            loss = float(self.model.train_on_batch(inputs, self.targets[rows]))
            if not math.isfinite(loss):
                self._refuse_loss(number, loss, rows)
            self.at.losses.append(loss)
            self.at.step += 1
            seconds = perf_counter() - began
            photographs = self.at.step * size / seconds
            self.watch.progress(what, self.at.step, steps, f"loss {np.mean(self.at.losses):.5f}, {photographs:.0f}/s")
            self.at.seconds = seconds
            if self.watch.stopping():
                self._save()
                raise Stopped
            if 0 < self.config.run.save_minutes * 60 < monotonic() - self.saved_at:
                self._save()
        self._end_epoch(number, phase, features, size * steps, self.loader.waited_s - waited, perf_counter() - began)

    def _batches(
        self, number: int, phase: Phase, plan: Epoch, features: tuple[Floats, Floats] | None
    ) -> Iterator[tuple[NDArray[Any], NDArray[np.intp]]]:
        if features is None:
            yield from self.loader.batches(plan, phase.batch, self.at.step)
            return
        views = features[0]
        place = np.full(len(self.shards), -1)
        place[self.rows] = np.arange(len(self.rows))
        seed = self.config.run.seed
        chosen = np.random.Generator(np.random.Philox(key=[seed, 3 << 32 | self.at.epoch])).integers(
            0, len(views), len(plan)
        )
        size = min(phase.batch, len(plan))
        for start in range(self.at.step * size, len(plan), size):
            rows = plan.rows[start : start + size]
            yield views[chosen[start : start + size], place[rows]], rows

    def _end_epoch(
        self, number: int, phase: Phase, features: tuple[Floats, Floats] | None, shown: int, waited: float, took: float
    ) -> None:
        at = self.at
        loss, rate = float(np.mean(at.losses)), float(self.model.optimizer.learning_rate)
        averaged = stages.averaging(self.model)
        if averaged:
            stages.swap_average(self.model)
        judged = self._judge(phase, features)
        better = at.best is None or judged["val_loss"] < at.best
        if better:
            at.best = judged["val_loss"]
            self._export("model.keras")
        if averaged:
            if at.epoch + 1 == phase.epochs or phase.patience:
                self._export("last.keras")
            stages.swap_average(self.model)
        else:
            self._export("last.keras")
        at.stale = 0 if at.phase_best is None or judged["val_loss"] < at.phase_best else at.stale + 1
        at.phase_best = judged["val_loss"] if at.stale == 0 else at.phase_best
        line = {
            "phase": number, "epoch": at.epoch + 1, "loss": loss, **judged, "best": better, "learning_rate": rate,
            "photographs": shown, "seconds": round(took, 3), "photographs_per_second": round(shown / took, 1),
            "waited_for_data": round(waited / took, 4),
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

    def _judge(self, phase: Phase, features: tuple[Floats, Floats] | None) -> dict[str, float]:
        """The validation photographs' loss and statistics, on the very pixels that a device will see."""
        if features is not None:
            predicted = stages.predict(self.model, features[1], EVALUATED_AT_ONCE)
        else:
            parts = [stages.predict(self.model, pixels, EVALUATED_AT_ONCE) for pixels in self._judging_pixels()]
            predicted = np.concatenate(parts)
        truth = self.shards.distributions[self.judges]
        if not np.isfinite(predicted).all():
            raise TrainingError("the network's answers are no numbers any more: lower the learning rate")
        predicted = predicted / predicted.sum(axis=1, keepdims=True)
        emd = earth_movers_distance(truth, predicted)
        people, means = self.shards.means[self.judges], mean_rating(predicted)
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

    def _judging_pixels(self) -> Iterator[Pixels]:
        """The validation photographs, some batches at a time."""
        held: list[Pixels] = []
        for picture in self.loader.pictures(self.judges):
            held.append(picture)
            if len(held) == 8 * EVALUATED_AT_ONCE:
                yield np.stack(held)
                held = []
        if held:
            yield np.stack(held)

    def _features(self, phase: HeadPhase) -> tuple[Floats, Floats]:
        """Features of the training photographs' views, (views, n, width), and of those that validate, (m, width)."""
        base = stages.from_pixels(features_of(self.network), self.how)
        width = int(base.output.shape[-1])
        plans = [
            plan_view(self.config.run.seed, view, self.rows, self.slack, self.config.augment)
            for view in range(phase.views)
        ]
        weights = hashlib.sha256()
        for values in self.network.get_weights()[:-2]:
            weights.update(np.ascontiguousarray(values).tobytes())
        key = f"{weights.hexdigest()} {shards_key(self.shards)}"

        def features(pixels: Pixels) -> NDArray[np.float32]:
            return np.asarray(stages.predict(base, pixels, EVALUATED_AT_ONCE), np.float32)

        def step(done: int, total: int) -> None:
            self.watch.progress("features of the frozen base", done, total, "")
            if self.watch.stopping():
                raise Stopped

        views = cached_features(self.folder / "features", features, width, self.loader, plans, key, step)
        judging = np.concatenate([features(pixels) for pixels in self._judging_pixels()])
        return np.asarray(views), judging

    def _reestimate(self) -> None:
        self.watch.told("taking the statistics of batch normalisation anew")
        plan = plan_view(self.config.run.seed, 0, self.rows, self.slack, self.config.augment)
        some = np.random.default_rng(self.config.run.seed).permutation(len(plan))[:1024]
        drawn = Epoch(plan.rows[some], plan.left[some], plan.top[some], plan.mirrored[some])
        batches = [pixels for pixels, _ in self.loader.batches(drawn, 64)]
        stages.reestimate_batch_norm(self.network, batches, self.how)

    def _to_phase_2(self) -> None:
        self.at = dataclasses.replace(self.at, phase=2, epoch=0, step=0, losses=[], phase_best=None, stale=0)
        save_state(self.folder / "state.npz", State(self.at, self._network_state(), []))

    def _network_state(self) -> list[NDArray[Any]]:
        return stages.values_of(self.network.variables)

    def _save(self) -> None:
        state = State(self.at, self._network_state(), stages.values_of(self.model.optimizer.variables))
        save_state(self.folder / "state.npz", state)
        self.saved_at = monotonic()

    def _export(self, name: str) -> None:
        if self.export is not self.network:
            set_weights(self.export, self.network.get_weights())
        self.folder.save_model(name, self.export)

    def _refuse_loss(self, number: int, loss: float, rows: NDArray[np.intp]) -> None:
        names = ", ".join(printable(self.shards.names[row]) for row in rows[:3])
        raise TrainingError(
            f"the loss is {loss} in phase {number}, epoch {self.at.epoch + 1}, batch {self.at.step + 1} ({names} and "
            f"{max(len(rows) - 3, 0)} more); what was saved before is kept: lower phase{number}.learning_rate"
        )

    def _log(self, line: dict[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        at = len(self.at.history)
        with SummaryWriter(str(self.folder / "tensorboard"), purge_step=at) as writer:
            for key, value in line.items():
                if isinstance(value, float) and math.isfinite(value):
                    writer.add_scalar(key.replace("val_", "validation/"), value, at)

    def _finish(self) -> None:
        from edge_nima_train.history_plots import write_plots

        write_plots(self.folder, self.at.history)
        best = min(self.at.history, key=lambda line: line["val_loss"])
        self.folder.finish({"epochs": len(self.at.history), "seconds": self._seconds(), "best": best})

    def _seconds(self) -> float:
        return float(round(sum(line["seconds"] for line in self.at.history), 1))


def _assign(variables: list[Any], values: list[NDArray[Any]], what: str) -> None:
    if [tuple(v.shape) for v in variables] != [v.shape for v in values]:
        raise RequestError(f"the saved state's {what} is another than this one: --overwrite starts the run anew")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
