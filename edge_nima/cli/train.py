"""edge-nima train: a network fitted to people's ratings, and held against them."""

from __future__ import annotations

import typer

from edge_nima.cli import train_bench, train_evaluate, train_fit, train_predict

app = typer.Typer(help="Train a network, and hold it against people.", no_args_is_help=True, add_completion=False)
app.command("fit")(train_fit.fit)
app.command("evaluate")(train_evaluate.evaluate)
app.command("predict")(train_predict.predict)
app.command("bench")(train_bench.bench)
