"""Train a network and hold it against people: `python train_and_evaluate.py CONFIG MANIFEST RUN`.

CONFIG is a TOML file such as those of train/configs, MANIFEST what `edge-nima data split` wrote. Interrupted, the same
command goes on. Needs `pip install 'edge-nima[train]'`.
"""

import sys
from pathlib import Path

from edge_nima_train import Judges, evaluate_checkpoint, read_config
from edge_nima_train.fit import Watch, fit

if __name__ == "__main__":  # training may start processes, which read this file again
    config, manifest, run = sys.argv[1:]
    fit(read_config(config), Path(run), watch=Watch(told=print))
    evaluation = evaluate_checkpoint(run, Judges(manifest, split="val", overwrite=True), told=print)
    for name in ("srcc", "plcc", "accuracy", "emd_r2", "spread_ratio"):
        one = evaluation.statistics[name]
        print(f"{name} {one.model.value:.3f}, the constant answer {one.constant:.3f}")
