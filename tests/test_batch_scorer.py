"""The callable for batches, and scorers that travel to other processes."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import PHOTOS
from edge_nima.batch_scorer import BatchScorer
from edge_nima.errors import ModelError, RequestError
from edge_nima.scorer import BUNDLED, load_model, open_scorer

FILES = sorted(PHOTOS.glob("*.jpg"))[:3]


@pytest.fixture(scope="module")
def scorer() -> BatchScorer:
    return BatchScorer()


def test_paths_and_bytes_score_as_the_scorer_does(scorer: BatchScorer, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(FILES[0].read_bytes()[:900])
    records = [*open_scorer(threads=1).score_batch([*FILES, bad])]
    for batch in (
        {"path": [str(file) for file in (*FILES, bad)], "id": [1, 2, 3, 4]},
        {"bytes": [file.read_bytes() for file in (*FILES, bad)], "path": ["a", "b", "c", "d"]},
    ):
        out = scorer(batch)
        assert "bytes" not in out
        assert {len(values) for values in out.values()} == {4}
        assert out["mean"] == [record.mean for record in records]
        assert out["std"] == [record.std for record in records]
        assert out["distribution"][:3] == [list(record.distribution or ()) for record in records[:3]]
        assert (out["mean"][3], out["distribution"][3]) == (None, None)
        assert out["error"] == [None, None, None, records[3].error]
        assert out["model_sha256"] == [scorer.scorer.model.sha256] * 4
        assert out["path"] == batch["path"]
    assert scorer({"path": [], "id": []})["mean"] == []


def test_arrays_and_data_frames_are_batches(scorer: BatchScorer) -> None:
    pandas = pytest.importorskip("pandas")
    names = [str(file) for file in FILES]
    expected = scorer({"path": names})["mean"]
    assert scorer({"path": np.array(names)})["mean"] == expected
    assert scorer({"bytes": np.array([file.read_bytes() for file in FILES], object)})["mean"] == expected
    frame = pandas.DataFrame(scorer(pandas.DataFrame({"path": names})))
    assert list(frame["mean"]) == expected


def test_a_batch_without_photographs_is_refused(scorer: BatchScorer) -> None:
    with pytest.raises(RequestError, match="a batch has a column 'bytes' or 'path'; this one has url, id"):
        scorer({"url": ["a"], "id": [1]})


def test_a_scorer_pickles_small_and_scores_the_same_in_another_process(scorer: BatchScorer) -> None:
    pickled = pickle.dumps(scorer)
    assert len(pickled) < 20_000  # the bundled model has 3.8 MB
    program = "import pickle, sys; s = pickle.load(sys.stdin.buffer); print(s({'path': sys.argv[1:]})['mean'])"
    names = [str(file) for file in FILES]
    done = subprocess.run([sys.executable, "-c", program, *names], input=pickled, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(scorer({"path": names})["mean"])


def test_a_pickled_scorer_wants_the_same_model(tmp_path: Path) -> None:
    model = tmp_path / "own.tflite"
    shutil.copy(BUNDLED, model)
    pickled = pickle.dumps(open_scorer(model, 1, max_megapixels=7, exact=True))
    again = pickle.loads(pickled)
    assert (again.threads, again.max_megapixels, again.exact, again.model.path) == (1, 7, True, model)
    with model.open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="is another model here than where the scorer was made"):
        pickle.loads(pickled)
    model.unlink()
    with pytest.raises(ModelError, match=r"this machine has no model '.*own\.tflite': No such file"):
        pickle.loads(pickled)
    shutil.copy(BUNDLED, model)
    travelling = pickle.dumps(open_scorer(load_model(model).detached(), 1))
    model.unlink()
    assert pickle.loads(travelling).score(FILES[0]).mean == again.score(FILES[0]).mean
