"""Cross-validation of a training configuration: every photograph is judged by a network that has not seen its group.

usage: cross_validate.py CONFIG.toml LABELS.csv IMAGES OUT [--group-by theme] [--folds 5] [--set KEY=VALUE ...]

Each fold trains with `edge-nima train fit` in OUT/fold-N, the held-out groups as its validation split, and is judged by
last.keras: no epoch is chosen by the photographs that judge. Beside it stand the weights that the configuration starts
from, untuned, and the constant answer, each fold's mean histogram of the photographs trained on. Interrupted, the same
command goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import keep

from edge_nima.agreement import pearson, spearman
from edge_nima.distribution import Floats, earth_movers_distance, mean_rating
from edge_nima.pixels import read_input
from edge_nima_train.checkpoint import open_checkpoint
from edge_nima_train.config import read_config
from edge_nima_train.manifest import Manifest, read_manifest, write_manifest
from edge_nima_train.split import place
from edge_nima_train.start import weights_path


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--group-by", default="theme")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    manifest = read_manifest(args.labels, args.images)
    folds = _folds(manifest, args.group_by, args.folds)
    people = manifest.labels.distributions
    tuned, constant = np.zeros_like(people), np.zeros_like(people)
    args.out.mkdir(parents=True, exist_ok=True)
    changes = [f"data.images={args.images}", *args.set]
    for fold in range(args.folds):
        held = folds == fold
        constant[held] = people[~held].mean(axis=0)
        path = args.out / f"fold-{fold}.csv"
        # Files are written as they are from the manifest's folder: the images folder is then that folder.
        write_manifest(path, replace(manifest, split=tuple("val" if one else "train" for one in held)))
        run = args.out / f"fold-{fold}"
        sets = [part for change in [f"data.manifest={path}", "data.images=", *args.set] for part in ("--set", change)]
        command = [sys.executable, "-m", "edge_nima", "train", "fit", "--config", str(args.config), "--out", str(run)]
        subprocess.run([*command, *sets], check=True)
        tuned[held] = _predict(run / "last.keras", manifest, np.flatnonzero(held))
    config = read_config(args.config, changes)
    untuned = _predict(weights_path(config.network.weights), manifest, np.arange(len(manifest)))
    keep(
        "cross_validate",
        {
            "config": args.config.name, "set": args.set, "labels": args.labels.parent.name, "n": len(manifest),
            "folds": args.folds, "grouped_by": args.group_by, "inferred_histograms": manifest.labels.inferred,
            "tuned": _statistics(people, tuned, folds), "untuned": _statistics(people, untuned, folds),
            "constant": _statistics(people, constant, folds),
            "seconds": [json.loads((args.out / f"fold-{fold}" / "done.json").read_text())["seconds"]
                        for fold in range(args.folds)],
        },
    )  # fmt: skip


def _folds(manifest: Manifest, column: str, folds: int) -> Floats:
    """The fold of each photograph: its group's, by a hash."""
    return np.array([int(place("cross_validate", cell) * folds) for cell in manifest.columns[column]], np.float64)


def _predict(checkpoint: Path, manifest: Manifest, rows: Floats) -> Floats:
    trained = open_checkpoint(checkpoint)
    pixels = np.stack([read_input(manifest.photograph(int(row)), trained.preprocessing) for row in rows])
    given = np.asarray(trained.predict(pixels), np.float64)
    return given / given.sum(axis=1, keepdims=True)


def _statistics(people: Floats, model: Floats, folds: Floats) -> dict[str, object]:
    """Over all photographs, each judged by its own fold's network, and SRCC within each fold."""
    means, truth = mean_rating(model), mean_rating(people)
    within = [spearman(truth[folds == fold], means[folds == fold]) for fold in np.unique(folds)]
    return {
        "emd_r2": round(float(earth_movers_distance(people, model).mean()), 5),
        "srcc": round(spearman(truth, means), 4),
        "srcc_of_folds": [None if np.isnan(one) else round(one, 4) for one in within],
        "plcc": round(pearson(truth, means), 4),
        "mae": round(float(np.abs(truth - means).mean()), 4),
        "spread_ratio": round(float(means.std() / truth.std()), 3),
    }


if __name__ == "__main__":
    main()
