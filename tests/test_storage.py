"""`edge-nima score` on an object store, and on lists and parquet files of photographs."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from conftest import PHOTOS, skip_without
from edge_nima.listing import find_all
from object_store import BUCKET, CLOSED, GONE, ObjectStore, object_store

skip_without("moto", "moto: pip install 'edge-nima[dev]'")

FILES = sorted(PHOTOS.glob("*.jpg"))


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


def score(*arguments: str | Path, env: dict[str, str] | None = None) -> tuple[int, dict[str, dict[str, str]], str]:
    """Exit code, rows by name, and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_nima", "score", *map(str, arguments), "--format", "csv"],
        capture_output=True, env={**os.environ, **(env or {})}, check=False, timeout=120,
    )  # fmt: skip
    rows = csv.DictReader(io.StringIO(done.stdout.decode(), newline=""))
    return done.returncode, {row["name"]: row for row in rows}, done.stderr.decode()


def means(rows: dict[str, dict[str, str]]) -> list[str]:
    return [row["mean"] for row in rows.values()]


@pytest.fixture(scope="module")
def local() -> dict[str, str]:
    """Means of the example photographs, by file name."""
    _, rows, _ = score(*FILES)
    return {Path(name).name: row["mean"] for name, row in rows.items()}


def test_a_prefix_scores_as_the_folder_does_and_names_what_is_left_out(
    store: ObjectStore, local: dict[str, str]
) -> None:
    uris = store.put(FILES, "year/2019/")
    client = store.client()
    for key in ("notes.txt", ".hidden.jpg", "@eaDir/thumb.jpg", "empty/", "a b#c?d%20é.jpg"):
        client.put_object(Bucket=BUCKET, Key=f"year/2019/{key}", Body=FILES[0].read_bytes())
    code, rows, said = score(f"s3://{BUCKET}/year", env=store.env)
    assert code == 0
    odd = f"s3://{BUCKET}/year/2019/a b#c?d%20é.jpg"
    assert set(rows) == {*uris, odd}
    assert {name.rpartition("/")[2]: row["mean"] for name, row in rows.items() if name != odd} == local
    assert rows[odd]["mean"] == local[FILES[0].name]
    assert int(rows[uris[0]]["size"]) == FILES[0].stat().st_size
    assert "left out: 1 .txt, 1 hidden, 1 in @eaDir" in said


def test_patterns_and_single_objects(store: ObjectStore, local: dict[str, str]) -> None:
    store.put(FILES[:2], "pattern/a/")
    store.put(FILES[2:4], "pattern/a/deep/")
    store.client().put_object(Bucket=BUCKET, Key="pattern/nameless", Body=FILES[0].read_bytes())
    base = f"s3://{BUCKET}/pattern"
    for pattern, files in ((f"{base}/*/*.jpg", FILES[:2]), (f"{base}/**/*.jpg", FILES[:4]),
                           (f"{base}/a/{FILES[1].name}", FILES[1:2]), (f"{base}/nameless", FILES[:1])):  # fmt: skip
        code, rows, said = score(pattern, env=store.env)
        assert code == 0, said
        assert sorted(means(rows)) == sorted(local[file.name] for file in files)
    code, rows, said = score(base, "--exclude", "deep", env=store.env)
    assert sorted(means(rows)) == sorted(local[file.name] for file in FILES[:2])
    assert "2 by --exclude" in said


def test_what_stores_and_networks_do_is_in_the_records(store: ObjectStore, local: dict[str, str]) -> None:
    client, body = store.client(), FILES[0].read_bytes()
    for name in ("slow", "once500", "always500", "torn", "whole"):
        client.put_object(Bucket=BUCKET, Key=f"faults/{name}.jpg", Body=body)
    client.put_object(Bucket=BUCKET, Key="faults/cut.jpg", Body=body[: len(body) // 2])
    client.put_object(Bucket=BUCKET, Key="faults/empty.jpg", Body=b"")
    large = io.BytesIO()
    Image.new("1", (20_000, 15_000)).save(large, "PNG")
    client.put_object(Bucket=BUCKET, Key="faults/large.png", Body=large.getvalue())
    base = f"s3://{BUCKET}/faults"
    code, rows, _ = score(f"{base}/", f"{base}/missing.jpg", f"s3://{CLOSED}/x.jpg", env=store.env)
    assert code == 3
    errors = {name.rpartition("/")[2].removesuffix(".jpg"): row["error"] for name, row in rows.items()}
    assert errors == {
        "slow": "", "once500": "", "whole": "",
        "always500": "cannot be read: the store answered with 500",
        "torn": "cannot be read: the answer ended before the object did",
        "cut": "damaged: the JPEG's data ends before the picture does",
        "empty": "empty: 0 bytes",
        "large.png": "20000x15000 is 300 megapixels, the limit is 128 (raise it with --max-megapixels)",
        "missing": "cannot be read: no such object",
        "x": "cannot be read: no permission (403)",
    }  # fmt: skip
    good = {row["mean"] for row in rows.values() if not row["error"]}
    assert good == {local[FILES[0].name]}


@pytest.mark.parametrize(
    ("uri", "env", "said"),
    [
        (f"s3://{GONE}/", {}, f"cannot list 's3://{GONE}/': no such bucket"),
        (f"s3://{CLOSED}/", {}, f"cannot list 's3://{CLOSED}/': no permission (403)"),
        (f"s3://{BUCKET}/nothing/", {}, f"no photographs in 's3://{BUCKET}/nothing/': there is nothing beneath it"),
        (f"s3://{BUCKET}/no/*.jpg", {}, f"the pattern 's3://{BUCKET}/no/*.jpg' matches no photograph"),
        ("s3://*/x.jpg", {}, "a pattern begins behind the bucket, as in 's3://bucket/*.jpg'"),
        (f"s3://{BUCKET}/", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "the store refuses these credentials"),
        (f"s3://{BUCKET}/", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "the store cannot be reached"),
        ("s4://bucket/", {}, "no such kind of address: 's4://'; possible: s3, gs, abfs, hf and what fsspec knows"),
        (f"s3://{BUCKET}/none.parquet", {}, f"cannot read 's3://{BUCKET}/none.parquet': no such object"),
        (f"s3://{BUCKET}/none.csv", {}, f"cannot read 's3://{BUCKET}/none.csv': no such object"),
    ],
)  # fmt: skip
def test_bad_addresses_are_refused_in_one_line(store: ObjectStore, uri: str, env: dict[str, str], said: str) -> None:
    code, _, told = score(uri, env={**store.env, **env})
    assert code == 2
    assert said in told
    assert len(told.splitlines()) == 1


def test_only_local_photographs_get_sheets_and_sidecars(store: ObjectStore, tmp_path: Path) -> None:
    for option in (["--html", tmp_path / "x.html"], ["--xmp"]):
        code, _, said = score(f"s3://{BUCKET}/", *option, env=store.env)
        assert (code, len(said.splitlines())) == (2, 1)
        assert f"{option[0]}: not possible here, the photographs are no local files" in said


def test_resume_keeps_objects_of_the_same_size_and_time(store: ObjectStore, tmp_path: Path) -> None:
    store.put(FILES[:3], "resume/")
    output, base = tmp_path / "scores.jsonl", f"s3://{BUCKET}/resume/"
    command = [sys.executable, "-m", "edge_nima", "score", base, "--output", str(output), "--resume"]
    env = {**os.environ, **store.env}
    subprocess.run(command, env=env, check=True, capture_output=True)
    store.client().put_object(Bucket=BUCKET, Key=f"resume/{FILES[0].name}", Body=FILES[4].read_bytes())
    said = subprocess.run(command, env=env, check=True, capture_output=True).stderr.decode()
    assert "1 photograph in" in said
    assert "2 kept from before" in said


def test_lists_of_photographs(store: ObjectStore, local: dict[str, str], tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    (tmp_path / "beneath").mkdir()
    (tmp_path / "beneath" / "x.jpg").write_bytes(FILES[0].read_bytes())
    uris = store.put(FILES[1:3], "listed/")
    named = ["beneath/x.jpg", *uris, str(FILES[3]), "", uris[0]]
    with (tmp_path / "list.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([("id", "path"), *enumerate(named)])
    table = pa.table({"n": range(6), "uri": pa.array(named).dictionary_encode(), "note": ["x"] * 6})
    write_table(table, tmp_path / "list.parquet")
    store.put([tmp_path / "list.csv"], "listed/")
    expected = [local[file.name] for file in FILES[:4]]
    for name in ("list.csv", "list.parquet"):
        code, rows, said = score(tmp_path / name, env=store.env)
        assert code == 0, said
        assert list(rows) == [f"{tmp_path}/beneath/x.jpg", *uris, str(FILES[3])]
        assert means(rows) == expected
    code, rows, _ = score(f"s3://{BUCKET}/listed/list.csv", env=store.env)
    assert code == 3
    assert rows[f"s3://{BUCKET}/listed/beneath/x.jpg"]["error"] == "cannot be read: no such object"


def test_pictures_inside_parquet_files(store: ObjectStore, local: dict[str, str], tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    contents = [file.read_bytes() for file in FILES[:5]]
    images = [{"bytes": content, "path": f"{row}.jpg"} for row, content in enumerate(contents)]
    images[3] = {"bytes": None, "path": "3.jpg"}  # type: ignore[dict-item]
    hub = tmp_path / "train-00000.parquet"
    write_table(pa.table({"image": images, "label": range(5)}), hub, row_group_size=2)
    write_table(pa.table({"jpg": contents}), tmp_path / "plain.parquet")
    expected = [local[file.name] for file in FILES[:5]]
    code, rows, _ = score(hub)
    assert code == 3
    assert list(rows) == [f"{hub}/image/{row}" for row in range(5)]
    assert rows[f"{hub}/image/3"]["error"] == "cannot be read: the row holds no bytes"
    assert means(rows) == [*expected[:3], "", expected[4]]
    code, rows, _ = score(tmp_path / "plain.parquet")
    assert (code, means(rows)) == (0, expected)
    store.put([hub], "hub/")
    code, rows, _ = score(f"s3://{BUCKET}/hub/*.parquet", env=store.env)
    assert list(rows) == [f"s3://{BUCKET}/hub/{hub.name}/image/{row}" for row in range(5)]
    assert means(rows) == [*expected[:3], "", expected[4]]
    code, _, said = score(f"s3://{BUCKET}/hub/", env=store.env)
    assert code == 2
    assert f"for pictures in parquet files give a pattern: 's3://{BUCKET}/hub/*.parquet'" in said
    row = f"{hub}/image/4"
    code, rows, _ = score(row)
    assert (code, means(rows)) == (0, [expected[4]])


def test_columns_that_are_not_there_or_of_another_type(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    table = pa.table({"a": ["x"], "b": ["y"], "n": [1], "raw": [b"1"], "raw2": [b"2"]})
    write_table(table, tmp_path / "t.parquet")
    write_table(pa.table({"n": [1]}), tmp_path / "n.parquet")
    (tmp_path / "t.csv").write_text("a,b\nx,y\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    for name, column, told in (
        ("t.parquet", "c", "has no column 'c'; it has 'a', 'b', 'n', 'raw', 'raw2'"),
        ("t.parquet", "n", "column 'n' of '{}' is int64; possible: string (paths or URIs), binary, or struct with a "
         "binary field 'bytes'; of these it has 'a', 'b', 'raw', 'raw2'"),
        ("t.parquet", None, "has no column that is called like a photograph's; it has 'a', 'b', 'n', 'raw', 'raw2': "
         "--column NAME"),
        ("n.parquet", None, "has no column that is called like a photograph's; it has 'n'"),
        ("t.csv", None, "has no column that is called like a photograph's; it has 'a', 'b': --column NAME"),
        ("t.csv", "c", "has no column 'c'; it has 'a', 'b'"),
        ("empty.csv", None, "has no column that is called like a photograph's; it has none"),
        ("broken.parquet", None, "no parquet file, or damaged"),
        ("none.parquet", None, "no such file or folder"),
    ):  # fmt: skip
        code, _, said = score(tmp_path / name, *([] if column is None else ["--column", column]))
        assert code == 2, name
        assert told.format(tmp_path / name) in said, name
        assert len(said.splitlines()) == 1


def test_a_list_is_not_replaced_by_its_scores(tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(f"path\n{FILES[0]}\n")
    code, _, said = score(listed, "--output", listed, "--overwrite")
    assert code == 2
    assert "is one of the inputs" in said
    assert listed.read_text() == f"path\n{FILES[0]}\n"


def test_what_is_listed_is_listed_once(tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(f"path\n{FILES[0]}\n{FILES[1]}\n{FILES[0]}\n")
    assert find_all([str(listed), str(FILES[1])]) == FILES[:2]
