"""The three engines' examples, each on its real local engine."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from conftest import PHOTOS, ROOT
from edge_nima.scorer import open_scorer

ENGINES = {"ray": "ray", "spark": "pyspark", "beam": "apache_beam"}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_an_example_writes_the_scores_of_the_scorer(engine: str, tmp_path: Path) -> None:
    if find_spec(ENGINES[engine]) is None:
        pytest.skip(f"needs {ENGINES[engine]}: pip install 'edge-nima[engines]' in an environment of its own")
    from pyarrow.dataset import dataset

    env = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": "local"}
    output = tmp_path / "out" / "scores"
    output.parent.mkdir()
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"score_with_{engine}.py"), str(PHOTOS), str(output)],
        env=env, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    files = [str(file) for file in output.parent.rglob("*.parquet")]
    rows = dataset(files, format="parquet").to_table().to_pylist()
    scorer = open_scorer(threads=1)
    expected = {file.name: scorer.score(file) for file in PHOTOS.glob("*.jpg")}
    assert sorted(Path(row["path"]).name for row in rows) == sorted(expected)
    for row in rows:
        record = expected[Path(row["path"]).name]
        assert (row["mean"], row["std"], row["error"]) == (record.mean, record.std, None)
        assert tuple(row["distribution"]) == record.distribution
        assert row["model_sha256"] == scorer.model.sha256
