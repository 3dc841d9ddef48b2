"""edge-nima data: from AVA.txt and a folder of photographs to shards that training reads."""

from __future__ import annotations

import typer

from edge_nima.cli import data_balance, data_download, data_explore, data_import, data_pack, data_split, data_verify

app = typer.Typer(help="Photographs and ratings, made ready for training.", no_args_is_help=True, add_completion=False)
app.command("import")(data_import.import_)
app.command("verify")(data_verify.verify)
app.command("explore")(data_explore.explore)
app.command("split")(data_split.split)
app.command("balance")(data_balance.balance)
app.command("pack")(data_pack.pack)
app.command("download")(data_download.download)
