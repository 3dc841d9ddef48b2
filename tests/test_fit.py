"""Training: on real Keras, a small network and small pictures. What is compared was trained in other processes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import skip_without
from edge_nima.cli import run as run_command

skip_without("keras", "edge-nima[train]")
skip_without("tensorboardX", "edge-nima[train]")

SMALL = """
[data]
manifest = "$PHOTOGRAPHS/labels.csv"
size = 40
[network]
input = 32
alpha = 0.25
weights = "none"
dropout = 0.2
batch_norm = "re-estimated"
[phase1]
epochs = 2
batch = 8
learning_rate = 1e-2
[phase2]
epochs = 2
batch = 8
learning_rate = 1e-3
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty-eight pictures whose brightness is their rating, eight of them to validate, and the configuration."""
    folder = tmp_path_factory.mktemp("photographs")
    draw = np.random.default_rng(0)
    lines = ["image_id,file,mean_rating,split"]
    for i in range(48):
        level = draw.random()
        coarse = np.clip(draw.normal(40 + 175 * level, 20, (5, 6, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(coarse).resize((72, 60), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
        lines.append(f"{i},{i}.png,{2 + 7 * level:.3f},{'val' if i % 6 == 0 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    (folder / "small.toml").write_text(SMALL)
    return folder


def environment(photographs: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PHOTOGRAPHS": str(photographs), "KERAS_BACKEND": "tensorflow", **more}


def train(photographs: Path, out: Path, *changes: str, code: int = 0, more: tuple[str, ...] = (), **env: str) -> str:
    """Run `edge-nima train fit` and return what it says on stderr."""
    sets = [part for change in changes for part in ("--set", change)]
    command = [sys.executable, "-m", "edge_nima", "train", "fit", "--config", str(photographs / "small.toml")]
    done = subprocess.run(
        [*command, "--out", str(out), *sets, *more], capture_output=True, text=True, env=environment(photographs, **env)
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def train_here(photographs: Path, out: Path, *changes: str, code: int = 0, more: tuple[str, ...] = ()) -> list[str]:
    """Run it in this process, where Keras starts once, and return what it says on stderr."""
    command = ["train", "fit", "--config", str(photographs / "small.toml"), "--out", str(out)]
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(told):
        patch.setenv("PHOTOGRAPHS", str(photographs))
        sets = [part for change in changes for part in ("--set", change)]
        assert run_command([*command, *sets, *more]) == code, told.getvalue()
    return told.getvalue().splitlines()


def refused(photographs: Path, out: Path, *changes: str, code: int = 2) -> str:
    """The one line that it ends with."""
    return train_here(photographs, out, *changes, code=code)[-1]


def history(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[float]:
    return [
        float(row["loss"])
        for file in sorted((out / "steps").glob("*.csv"))
        for row in csv.DictReader(file.read_text().splitlines())
    ]


def weights(out: Path, name: str = "last.keras") -> list[Any]:
    import keras

    found: list[Any] = keras.models.load_model(out / name, compile=False).get_weights()
    return found


def assert_equal(one: Path, other: Path) -> None:
    for name in ("last.keras", "model.keras"):
        for a, b in zip(weights(one, name), weights(other, name), strict=True):
            assert np.array_equal(a, b)
    skipped = {"seconds", "photographs_per_second", "waited_for_data"}
    for a, b in zip(history(one), history(other), strict=True):
        assert {k: v for k, v in a.items() if k not in skipped} == {k: v for k, v in b.items() if k not in skipped}
    assert losses(one) == losses(other)


@pytest.fixture(scope="module")
def run(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, complete."""
    out = tmp_path_factory.mktemp("runs") / "run"
    told = [line for line in train_here(photographs, out) if "train: " not in line]  # progress, where it is slow
    assert "40 photographs to train on, 8 to validate; histograms are inferred from means" in told[0]
    assert len(told) == 6, told
    return out


def test_a_run_folder_holds_what_it_says(run: Path, photographs: Path) -> None:
    lines = history(run)
    assert [(line["phase"], line["epoch"]) for line in lines] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    for line in lines:
        assert {"loss", "val_loss", "val_srcc", "val_plcc", "val_emd_r2", "val_spread_ratio", "seconds"} <= line.keys()
        assert line["photographs"] == 40
    assert len(losses(run)) == 4 * 5
    assert np.mean(losses(run)[:5]) == pytest.approx(lines[0]["loss"])
    names = {path.name for path in run.iterdir()}
    assert {"config.toml", "environment.json", "preprocessing.json", "architecture.json", "done.json", "loss.svg",
            "metrics.svg", "tensorboard", "model.keras", "last.keras"} <= names  # fmt: skip
    assert not {"state.npz", "features"} & names
    assert list((run / "tensorboard").iterdir())
    rows = list(csv.DictReader((run / "photographs.csv").read_text().splitlines()))
    assert sorted(int(row["image_id"]) for row in rows if row["split"] == "val") == list(range(0, 48, 6))
    assert len(rows) == 48
    assert json.loads((run / "preprocessing.json").read_text())["filter"] == "bilinear"
    best = min(lines, key=lambda line: float(line["val_loss"]))
    assert json.loads((run / "done.json").read_text())["best"] == best


def test_the_best_model_gives_what_its_validation_said(run: Path, photographs: Path) -> None:
    assert_best_is_what_was_said(run, photographs)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("changes", [("phase2.epochs=0",), ("phase1.epochs=0", "phase2.ema=0.5")])
def test_of_half_precision_too(changes: tuple[str, ...], photographs: Path, tmp_path: Path) -> None:
    train(photographs, tmp_path / "run", "run.precision=mixed_bfloat16", *changes)
    assert_best_is_what_was_said(tmp_path / "run", photographs)


def assert_best_is_what_was_said(run: Path, photographs: Path) -> None:
    import keras

    from edge_nima.distribution import as_distribution, earth_movers_distance, max_entropy_distribution
    from edge_nima.pixels import Preprocessing, read_input

    how = Preprocessing.from_json(json.loads((run / "preprocessing.json").read_text()))
    rows = [
        row for row in csv.DictReader((photographs / "labels.csv").read_text().splitlines()) if row["split"] == "val"
    ]
    pixels = np.stack([read_input(photographs / row["file"], how) for row in rows])
    scaled = pixels.astype(np.float32) * np.float32(how.scale) + np.float32(how.offset)
    given = np.asarray(keras.models.load_model(run / "model.keras", compile=False)(scaled, training=False))
    truth = np.stack([max_entropy_distribution(float(row["mean_rating"])) for row in rows])
    loss = (earth_movers_distance(truth, as_distribution(given)) ** 2).mean()
    assert loss == pytest.approx(json.loads((run / "done.json").read_text())["best"]["val_loss"], rel=1e-4)


def test_a_finished_run_is_left_alone(run: Path, photographs: Path) -> None:
    before = (run / "model.keras").stat().st_mtime_ns
    assert "is complete; --overwrite trains anew" in train(photographs, run)
    assert (run / "model.keras").stat().st_mtime_ns == before


def test_another_configuration_in_its_folder_is_refused(run: Path, photographs: Path, tmp_path: Path) -> None:
    told = refused(photographs, run, "phase2.epochs=3", "run.seed=1")
    assert "phase2.epochs is 3 here and 2 there (and 1 more)" in told
    (tmp_path / "diary.txt").write_text("mine")
    assert "is no run folder and holds 'diary.txt'" in refused(photographs, tmp_path)


def test_a_loss_that_is_no_number_names_the_batch(run: Path, photographs: Path, tmp_path: Path) -> None:
    import keras

    network = keras.models.load_model(run / "last.keras", compile=False)
    spoilt = network.get_weights()
    spoilt[-2][3, 4] = np.nan
    network.set_weights(spoilt)
    network.save(tmp_path / "spoilt.keras")
    changes = (
        f"network.weights={tmp_path / 'spoilt.keras'}",
        "augment.crop=false",
        "augment.flip=false",
        "phase1.views=1",
    )
    told = refused(photographs, tmp_path / "run", *changes, code=1)
    assert "edge-nima: the loss is nan in phase 1, epoch 1, batch 1 (" in told
    assert ".png, " in told
    assert "lower phase1.learning_rate" in told


def kill_and_resume(photographs: Path, out: Path, kills: int, seed: int) -> int:
    """Kill a run that saves after every step, at random moments, then let it end; how often it was killed."""
    pauses, killed = random.Random(seed), 0
    command = [sys.executable, "-m", "edge_nima", "train", "fit", "--config", str(photographs / "small.toml"),
               "--out", str(out), "--set", "run.save_minutes=0.00001"]  # fmt: skip
    while killed < kills:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment(photographs), text=True)
        assert process.stderr is not None
        # The wait begins with the first word: before it there is only Python's start to kill.
        process.stderr.readline()
        time.sleep(pauses.uniform(0, 6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        if (out / "done.json").exists():
            break
        for name in ("model.keras", "last.keras"):
            if (out / name).exists():
                weights(out, name)
    train(photographs, out, "run.save_minutes=0.00001")
    return killed


@pytest.mark.slow
@pytest.mark.exhaustive
def test_killed_at_random_moments_it_ends_with_the_same_weights(run: Path, photographs: Path, tmp_path: Path) -> None:
    killed, round = 0, 0
    while killed < 10:
        out = tmp_path / str(round)
        killed += kill_and_resume(photographs, out, 10 - killed, round)
        assert_equal(run, out)
        assert not list(out.glob("*.new*"))
        round += 1


@pytest.mark.slow
def test_an_interruption_saves_the_step_and_the_same_command_goes_on(
    run: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "edge_nima", "train", "fit", "--config", str(photographs / "small.toml")]
    process = subprocess.Popen(
        [*command, "--out", str(out)], stderr=subprocess.PIPE, env=environment(photographs), text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "phase 1, epoch 1/2" in line:
            break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in told
    assert any("going on with phase" in line for line in train_here(photographs, out))
    assert_equal(run, out)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_the_options_train_and_leave_a_float32_checkpoint(precision: str, photographs: Path, tmp_path: Path) -> None:
    changes = (f"run.precision={precision}", "phase2.ema=0.5", "phase2.weight_decay=0.01", "phase2.warmup=0.5",
               "phase2.schedule=cosine", "phase2.batch_norm=frozen", "phase2.freeze=conv_pw_3_relu", "augment.rare=3",
               "loss.label_smoothing=0.1", "loss.kind=emd", "phase1.views=0", "network.batch_norm=re-estimated",
               "phase1.patience=1", "data.validation=0.2")  # fmt: skip
    train(photographs, tmp_path / "run", *changes)
    import keras

    assert {w.dtype.name for w in weights(tmp_path / "run")} == {"float32"}
    assert "float16" not in json.dumps(
        keras.models.load_model(tmp_path / "run" / "model.keras", compile=False).get_config()
    )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_tensorflow_and_jax_take_the_same_steps(photographs: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="needs jax")
    plain = ("network.dropout=0", "augment.crop=false", "augment.flip=false", "phase1.views=1", "phase1.epochs=40",
             "phase2.epochs=0", "phase1.learning_rate=1e-3")  # fmt: skip
    # The same weights on both: each backend draws its own random ones.
    train(photographs, tmp_path / "start", *plain[:-2], "phase1.epochs=1", "phase2.epochs=0")
    start = f"network.weights={tmp_path / 'start' / 'last.keras'}"
    train(photographs, tmp_path / "tensorflow", *plain, start)
    train(photographs, tmp_path / "jax", *plain, start, KERAS_BACKEND="jax")
    a, b = losses(tmp_path / "tensorflow"), losses(tmp_path / "jax")
    assert len(a) == 200
    assert b == pytest.approx(a, rel=0.01)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_devices_on_jax_train_as_one_does(photographs: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="needs jax")
    two = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    # Batch normalisation of random weights magnifies rounding with every step that is large.
    plain = ("network.dropout=0", "phase2.epochs=1", "phase1.epochs=1", "phase2.learning_rate=1e-5")
    train(photographs, tmp_path / "one", *plain, **two)
    train(photographs, tmp_path / "two", *plain, "run.devices=2", **two)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-2)
    one, two = history(tmp_path / "one"), history(tmp_path / "two")
    assert [line["best"] for line in one] == [line["best"] for line in two]
    assert [line["val_loss"] for line in two] == pytest.approx([line["val_loss"] for line in one], rel=1e-3)
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["devices"] == ["cpu:0", "cpu:1"]


RUN_AHEAD = """
import keras, numpy as np
from edge_nima_train.loss import squared_emd
from edge_nima_train.steps import steps_of
wide = [keras.layers.Dense(2000) for _ in range(4)]
model = keras.Sequential([keras.Input((2000,)), *wide, keras.layers.Dense(10, activation="softmax")])
optimizer = keras.optimizers.Adam()
optimizer.build(model.trainable_variables)
steps = steps_of(model, optimizer, squared_emd)
inputs, targets = steps.put(np.ones((500, 2000), np.float32)), steps.put(np.full((500, 10), 0.1, np.float32))
float(steps(inputs, targets))
losses = [steps(inputs, targets) for _ in range(12)]
print(sum(not loss.is_ready() for loss in losses))
"""


@pytest.mark.slow
@pytest.mark.exhaustive
def test_jax_has_at_most_two_steps_under_way() -> None:
    pytest.importorskip("jax", reason="needs jax")
    done = subprocess.run(
        [sys.executable, "-c", RUN_AHEAD], capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "jax"}
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 2


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "EfficientNetB0"])
def test_the_other_networks_train(name: str, photographs: Path, tmp_path: Path) -> None:
    alpha = {"MobileNetV2": 0.35, "EfficientNetB0": 1.0}.get(name, 0.75)
    train(photographs, tmp_path / "run", f"network.architecture={name}", f"network.alpha={alpha}", "phase2.epochs=1")
    offset = json.loads((tmp_path / "run" / "preprocessing.json").read_text())["offset"]
    assert offset == (0.0 if name == "EfficientNetB0" else -1.0)


@pytest.mark.slow
def test_torch_trains_where_it_is_installed(photographs: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs torch")
    train(photographs, tmp_path / "run", KERAS_BACKEND="torch")
    assert len(history(tmp_path / "run")) == 4


@pytest.mark.slow
def test_another_phase_2_keeps_phase_1(run: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    # What cannot be is found before phase 1, and what came to nothing does not stand in the way.
    told = refused(photographs, out, "phase2.freeze=conv_pw_3_rel")
    assert told.endswith("phase2.freeze: no layer is called 'conv_pw_3_rel'; did you mean conv_pw_3_relu?")
    assert refused(photographs, out, "network.weights=/no/such.h5").startswith("edge-nima: no weights at")
    told = refused(photographs, out, "phase2.learning_rate=10", "phase2.warmup=0", code=1)
    assert "of phase 2" in told or "in phase 2" in told
    assert "lower phase2.learning_rate" in told
    assert [line["phase"] for line in history(out)][:2] == [1, 1]
    began = (out / "steps" / "phase1-epoch001.csv").stat().st_mtime_ns
    if history(out)[-1]["phase"] == 2:
        told = refused(photographs, out)
        assert told.endswith("give another --out, or --overwrite begins phase 2 anew and keeps phase 1")
        told_all = train_here(photographs, out, more=("--overwrite",))
    else:
        told_all = train_here(photographs, out)
    assert "edge-nima: going on with phase 2, 2 epochs are done" in told_all
    assert (out / "steps" / "phase1-epoch001.csv").stat().st_mtime_ns == began
    assert_equal(run, out)


def test_every_epoch_is_in_tensorboard(run: Path) -> None:
    files = sorted(path.name for path in (run / "tensorboard").iterdir())
    assert len(files) == 4
    assert [name.rpartition(".")[2] for name in files] == ["00001", "00002", "00003", "00004"]
    for number, name in enumerate(files, 1):
        content = (run / "tensorboard" / name).read_bytes()
        assert b"validation/srcc" in content
        assert int.from_bytes(content[8:12], "little")
        assert content.count(b"val") >= 1, number


def test_a_learning_rate_of_10_is_an_error(photographs: Path, tmp_path: Path) -> None:
    told = refused(photographs, tmp_path / "run", "phase1.learning_rate=10", code=1)
    assert "after epoch 1 of phase 1 the network gives all 8 photographs of the validation the same answer" in told
    assert told.endswith("lower phase1.learning_rate, 10")


@pytest.mark.slow
def test_bench_measures_what_bounds_training(photographs: Path) -> None:
    command = [sys.executable, "-m", "edge_nima", "train", "bench", str(photographs / "small.toml"), "--json",
               "--synthetic", "20", "--seconds", "0.2", "--set", "run.workers=2"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=environment(photographs))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["batch"] == 8
    assert set(said["loader"]) == {"1", "2"}
    assert said["bound"] == ("loader" if said["loader"]["2"] < said["step"] else "step")
    assert said["efficiency"] == pytest.approx(said["both"] / min(said["step"], said["loader"]["2"]))
    assert 0 <= said["waited"] < 1
    assert said["environment"]["backend"] == "tensorflow"
    done = subprocess.run(
        [*command[:6], "--seconds", "0.2"], capture_output=True, text=True, env=environment(photographs)
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("or measure with --synthetic 2000")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("network.weights=/no/such.h5",), "no weights at '/no/such.h5'"),
        (("network.weights=idealo",), "no weights at 'idealo'"),
        (("data.manifest=/no/such.csv",), "cannot read '/no/such.csv'"),
        (("data.manifest=$NOT_SET/x.csv",), "environment variable NOT_SET, which is not set"),
        (("run.devices=2",), "run.devices is 2; with KERAS_BACKEND=tensorflow possible: 1"),
        (("run.devices=3",), "phase1.batch is 8 and run.devices is 3; possible: a batch that divides evenly"),
        (("phase2.epoch=2",), "has no key 'epoch'; did you mean epochs?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    changes: tuple[str, ...], told: str, photographs: Path, tmp_path: Path
) -> None:
    assert told in refused(photographs, tmp_path / "run", *changes)


def test_weights_of_another_architecture_are_refused(run: Path, photographs: Path, tmp_path: Path) -> None:
    said = refused(photographs, tmp_path / "run", f"network.weights={run / 'model.keras'}", "network.alpha=0.5")
    assert "is another architecture or width than nima_mobilenet" in said
