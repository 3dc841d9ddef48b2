"""What people's ratings are read as, and what is refused with the line that is wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_nima.distribution import mean_rating
from edge_nima.errors import RequestError
from edge_nima.labels import AvaRow, rating_bins, rating_edges, read_ava, read_id_list, read_labels, spread_votes
from edge_nima.names import Names

ROW = "1 66 7 7 8 14 22 11 8 6 2 0 0 7 2"
VOTES = "image_id,file,n1,n2,n3,n4,n5,n6,n7,n8,n9,n10"
MEANS = "image_id,file,mean_rating"


Write = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Write:
    def write(content: str | bytes, name: str = "labels.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def refused(path: Path, read: Callable[[Path], object] = read_labels) -> str:
    with pytest.raises(RequestError) as caught:
        read(path)
    told = str(caught.value)
    assert "\n" not in told
    assert path.name in told
    return told


def test_a_row_of_ava(written: Write) -> None:
    (row,) = read_ava(written(ROW + "\n", "AVA.txt"))
    assert row == AvaRow("66", (7, 7, 8, 14, 22, 11, 8, 6, 2, 0), (7,), 2)


def test_line_ends_blank_lines_and_a_mark_change_nothing(written: Write) -> None:
    text = f"{ROW}\n\n2 0126 0 1 6 5 16 25 24 23 9 2 0 0 4"
    plain = read_ava(written(text))
    assert [row.image_id for row in plain] == ["66", "126"]
    for other in ("﻿" + text, text.replace("\n", "\r\n") + "\r\n", text.replace(" ", "\t"), text.replace("\n", "\r")):
        assert read_ava(written(other)) == plain


def test_labels_of_ava(written: Write) -> None:
    path = written(ROW, "AVA.txt")
    labels = read_labels(path)
    assert (labels.ids, labels.files, labels.name, labels.inferred) == (("66",), ("",), "AVA.txt", False)
    assert labels.means == pytest.approx(mean_rating([7, 7, 8, 14, 22, 11, 8, 6, 2, 0]))
    assert labels.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert labels.find("some/where/66.jpg") == 0
    assert labels.find("66") == 0
    assert labels.find("166.jpg") is None


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([ROW, "2 67 1 2 3"], ("line 2", "5 columns", "15")),
        ([ROW, ROW.replace("66", "67").replace("14", "x")], ("line 2", "n4 is 'x'", "whole number")),
        ([ROW, ROW.replace("66", "67").replace("14", "-14")], ("line 2", "n4 is '-14'")),
        ([ROW, ROW.replace("66", "67").replace("14", "1.5")], ("line 2", "n4 is '1.5'")),
        ([ROW, ROW.replace("66", "67").replace("14", "9" * 30)], ("line 2", "n4 is")),
        ([ROW, ROW.replace("66", "67").replace("14", "9" * 12)], ("line 2", "n4 is 1e+12", "0 to 1e+09")),
        ([ROW, "", "2 67 0 0 0 0 0 0 0 0 0 0 0 0 1"], ("line 3", "all zero")),
        ([ROW, ROW], ("line 2", "id '66' is that of line 1 too")),
        ([ROW, ROW.replace("66", "066").replace("14", "15")], ("line 2", "id '66' is that of line 1 too")),
    ],
)
def test_bad_rows_of_ava(written: Write, lines: list[str], says: tuple[str, ...]) -> None:
    path = written("\n".join(lines), "AVA.txt")
    for read in (read_ava, read_labels):
        told = refused(path, read)
        for part in says:
            assert part in told


def test_votes_of_a_csv_may_be_fractions(written: Write) -> None:
    labels = read_labels(written(f"{VOTES},theme\n1,Acorns 1.jpg,4,5.0,5,9,10,10,48,16.5,16.5,16,Acorns\n"))
    votes = [4, 5, 5, 9, 10, 10, 48, 16.5, 16.5, 16]
    assert labels.distributions[0] == pytest.approx(np.array(votes) / 140)
    assert labels.means[0] == pytest.approx(mean_rating(votes))
    assert not labels.inferred


def test_a_mean_alone_makes_an_inferred_histogram(written: Write) -> None:
    labels = read_labels(written(f"{MEANS}\na,a.jpg,5.3011\nb,b.jpg,1\nc,c.jpg,10\n"))
    assert labels.inferred
    assert labels.votes is None
    assert labels.distributions.shape == (3, 10)
    assert mean_rating(labels.distributions) == pytest.approx([5.3011, 1, 10])
    assert labels.means.tolist() == [5.3011, 1, 10]


def test_votes_go_before_a_mean(written: Write) -> None:
    labels = read_labels(written(f"{VOTES},mean_rating\na,a.jpg,1,0,0,0,0,0,0,0,0,0,9\n"))
    assert labels.means.tolist() == [1]
    some = read_labels(written("file,n1,n2,mean_rating\na.jpg,x,y,9\n"))
    assert (some.means.tolist(), some.inferred) == ([9], True)


@pytest.mark.parametrize("column", ["image_id", "file"])
def test_one_of_id_and_file_is_enough(written: Write, column: str) -> None:
    labels = read_labels(written(f"{column},mean_rating\nx.jpg,6\n"))
    assert labels.find("in/x.jpg") == 0
    assert labels.called(0) == "x.jpg"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("\n", "\n\n").encode(),
        lambda text: ("\r\n\n" + text).encode(),
        lambda text: text.replace(",", ", ").encode(),
        lambda text: text.replace("image_id,file", '"Image_ID","FILE"').encode(),
        lambda text: text.removesuffix("\n").encode(),
    ],
    ids=["mark", "crlf", "both", "cr", "blank lines", "blank first", "spaces", "quoted capitals", "no last end"],
)
def test_what_spreadsheets_write_is_read(written: Write, change: Callable[[str], bytes]) -> None:
    text = f"{VOTES}\n1,a ü.jpg,1,2,3,4,5,6,7,8,9,10\n2,b.jpg,0,0,0,1,0.5,0,0,0,0,0\n"
    plain, other = read_labels(written(text)), read_labels(written(change(text)))
    assert (plain.ids, plain.files) == (other.ids, other.files) == (("1", "2"), ("a ü.jpg", "b.jpg"))
    assert (plain.votes == other.votes).all()


def rated(*votes: object) -> str:
    return f"{VOTES}\na,a.jpg,1,1,1,1,1,1,1,1,1,1\nb,b.jpg,{','.join(map(str, votes))}\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (rated(*[0] * 10), ("line 3", "n1..n10 are all zero")),
        (rated(*[1] * 9, -2), ("line 3", "n10 is -2", "0 to 1e+09")),
        (rated("nan", *[1] * 9), ("line 3", "n1 is 'nan'", "a number")),
        (rated(1, "inf", *[1] * 8), ("line 3", "n2 is 'inf'")),
        (rated(1, "1e999", *[1] * 8), ("line 3", "n2 is inf")),
        (rated(1, "1_0", *[1] * 8), ("line 3", "n2 is '1_0'")),
        (rated(1, "٣", *[1] * 8), ("line 3", "n2 is")),
        (rated(1, "", *[1] * 8), ("line 3", "n2 is empty")),
        (rated(1, '"5,3"', *[1] * 8), ("line 3", "n2 is '5,3'")),
        (rated(*[1] * 9), ("line 3", "11 cells", "12, as in the header")),
        (rated(*[1] * 11), ("line 3", "13 cells")),
        (f"{MEANS},scale\na,a.jpg,0.99,1..10\n", ("line 2", "mean_rating is 0.99", "1 to 10")),
        (f"{MEANS},scale\na,a.jpg,10.000001,1..10\n", ("line 2", "mean_rating is 10.000001")),
        (f"{MEANS},scale\na,a.jpg,101,0..100\n", ("line 2", "mean_rating is 101", "0 to 100")),
        (f"{MEANS},scale\na,a.jpg,-5,5\n", ("line 2", "scale is '5'", "LOW..HIGH")),
        (f"{MEANS},scale\na,a.jpg,5,10..1\n", ("line 2", "scale is '10..1'", "the lower number first")),
        (f"{MEANS},scale\na,a.jpg,3,1..5\nb,b.jpg,3,1..10\n", ("line 3", "scale is 1..10", "1..5")),
        (f"{MEANS}\na,a.jpg,NaN\n", ("line 2", "mean_rating is 'NaN'")),
        (f"{MEANS}\na,a.jpg,good\n", ("line 2", "mean_rating is 'good'")),
        (f"{MEANS}\na,a.jpg,5\na,b.jpg,5\n", ("line 3", "image_id 'a' is that of line 2 too", "once")),
        (f"{MEANS}\na,a.jpg,5\nb,./a.jpg,6\n", ("line 3", "file 'a.jpg' is that of line 2 too")),
        (f"{MEANS}\na,,5\n", ("line 2", "file is empty")),
        (f"{MEANS}\n ,a.jpg,5\n", ("line 2", "image_id is empty")),
        (f"{MEANS}\n", ("a header and no labels",)),
        ("name,mean\na,5\n", ("line 1", "the header is 'name,mean'", "image_id or file", "mean_rating")),
        ("image_id,file\na,a.jpg\n", ("line 1", "the header is", "mean_rating")),
        ("mean_rating,n1\n5,5\n", ("line 1", "image_id or file")),
        ("file,n1,n2,n3\na,5,5,5\n", ("line 1", "n1 but not n4")),
        ("file,file,mean_rating\na,b,5\n", ("line 1", "file twice")),
        ("file;mean_rating\na;5\n", ("line 1", "commas")),
        ("a.jpg,5\nb.jpg,6\n", ("line 1", "the header is 'a.jpg,5'")),
        ('""\n', ("the header is empty",)),
        ("just words\n", ("line 1", "the header is 'just words'")),
        (f'{MEANS}\na,"a.jpg,5\nb,b.jpg,6\n', ("no CSV",)),
        (f"{MEANS}\na,{'a' * 200_000},5\n", ("line 2", "no CSV")),
        ("x" * 100_000, ("line 1", "…")),
        ("", ("is empty", "possible")),
        ("\n \r\n", ("is empty",)),
        (b"\xef\xbb\xbf", ("is empty",)),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ("not text in UTF-8",)),
        (b"image_id\0,mean_rating\n", ("zero bytes",)),
        ("image_id,mean_rating\na,5\n".encode("utf-16"), ("not text in UTF-8",)),
    ],
)
def test_bad_labels(written: Write, content: str | bytes, says: tuple[str, ...]) -> None:
    told = refused(written(content))
    for part in says:
        assert part in told
    assert len(told) < 400


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.csv")
    assert "cannot read" in refused(tmp_path)
    with pytest.raises(RequestError, match="cannot read"):
        read_labels("no\0name")


@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(0, 500), min_size=10, max_size=10).filter(lambda votes: sum(votes) > 1e-3),
            st.from_regex(r"[a-z][a-z0-9 _äß-]{0,8}[a-z]", fullmatch=True),
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda row: row[1],
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[float], str]]) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    lines = [f"{name},{name}.jpg,{','.join(map(repr, votes))}" for votes, name in rows]
    path.write_text("\n".join([VOTES, *lines]), encoding="utf-8")
    labels = read_labels(path)
    assert labels.votes is not None
    assert labels.votes.tolist() == [votes for votes, _ in rows]
    assert labels.match([f"x/{name}.jpg" for _, name in rows]) == list(range(len(rows)))
    assert ((labels.means >= 1) & (labels.means <= 10)).all()


@given(st.binary(max_size=300))
def test_no_bytes_make_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "labels.csv"
    for prefix in (b"", b"file,mean_rating\n", ROW.encode() + b"\n"):
        path.write_bytes(prefix + content)
        for read in (read_labels, read_ava, read_id_list):
            told = ""
            try:
                read(path)
            except RequestError as error:
                told = str(error)
            assert "\n" not in told


def test_names_match_from_the_most_exact_down() -> None:
    names = Names(["a.jpg", "set1/a.jpg", "set2/b.jpg", r"win\c.jpg", "./d.jpg", "Motif 1.jpg"], [*"uvwxy", "1"])
    assert names.find("/photos/a.jpg") == 0
    assert names.find("/photos/set1/a.jpg") == 1
    assert names.find(Path("set2") / "b.jpg") == 2
    assert names.find("/data/set2/b.jpg") == 2
    assert names.find("b.jpg") == 2, "run from inside set2"
    assert names.find("/data/set3/b.jpg") is None, "another folder is another photograph"
    assert names.find("win/c.jpg") == 3
    assert names.find("d.jpg") == 4
    assert names.find("Motif 1.jpg") == names.find("x/1.jpg") == names.find("1") == 5
    assert names.find("a.png") is None


def test_a_name_that_two_rows_end_in_is_refused() -> None:
    names = Names(["set1/a.jpg", "set2/a.jpg"], ["", ""])
    with pytest.raises(RequestError, match=r"'a.jpg' can be 'set1/a.jpg' or 'set2/a.jpg'"):
        names.find("a.jpg")
    assert names.find("x/set2/a.jpg") == 1
    both = Names(["", ""], ["x", "x.jpg"])
    assert (both.find("x.jpg"), both.find("x.png")) == (1, 0)


def test_a_file_is_found_without_what_a_table_adds() -> None:
    files = ["gr\u00fcn.jpg", "/data/a/1.jpg", "../b/2.jpg", " 3.jpg", "3.jpg", " 4.jpg"]
    asked = ("gru\u0308n.jpg", "/x/data/a/1.jpg", "/x/b/2.jpg", " 3.jpg", "p/3.jpg", "4.jpg")
    assert [Names(files, [""] * 6).find(path) for path in asked] == [0, 1, 2, 3, 4, 5]


def test_two_photographs_of_one_label_are_refused(written: Write) -> None:
    labels = read_labels(written("image_id,mean_rating\n7,5\n8,6\n"))
    with pytest.raises(RequestError, match=r"'a/7.jpg' and 'b/7.png' are both '7' of 'labels.csv'"):
        labels.match(["a/7.jpg", "8.jpg", "b/7.png"])


def test_what_has_no_counterpart_is_told(written: Write) -> None:
    labels = read_labels(written("file,mean_rating\na.jpg,5\nb.jpg,6\nc.jpg,6\nd.jpg,6\ne.jpg,6\n"))
    photographs = ["x/a.jpg", "x/z.jpg"]
    rows = labels.match(photographs)
    assert rows == [0, None]
    bare, idle = labels.gaps(photographs, rows)
    assert bare == "1 of 2 photographs have no label in labels.csv: x/z.jpg"
    assert idle == "4 of 5 labels of labels.csv have no photograph: b.jpg, c.jpg, d.jpg and 1 more"
    everything = [f"{name}.jpg" for name in "abcde"]
    assert labels.gaps(everything, labels.match(everything)) == []


def test_nothing_in_common_is_refused(written: Write) -> None:
    labels = read_labels(written("file,mean_rating\na.jpg,6\n"))
    with pytest.raises(RequestError, match=r"none of the 2 photographs \(such as 'y.jpg'\).*such as 'a.jpg'"):
        labels.match(["y.jpg", "z.jpg"])
    with pytest.raises(RequestError, match="none of the 0 photographs is"):
        labels.match([])


def test_bins_hold_their_lower_edge() -> None:
    assert rating_edges(9).tolist() == list(range(1, 11))
    assert rating_bins([1, 1.5, 2, 9, 9.99, 10], 9).tolist() == [0, 0, 1, 8, 8, 8]
    assert rating_bins([1, 10], 1).tolist() == [0, 0]
    assert rating_bins(rating_edges(10)[:-1]).tolist() == list(range(10))
    assert rating_bins([]).tolist() == []


def test_an_edge_is_what_is_written() -> None:
    assert rating_edges().tolist() == [1, 1.9, 2.8, 3.7, 4.6, 5.5, 6.4, 7.3, 8.2, 9.1, 10]
    votes = np.eye(10)[5] * 6 + np.eye(10)[6] * 4  # a mean of 6.4, give or take a rounding
    assert rating_bins([6.4, float(mean_rating(votes)), 6.4 - 1e-15, 6.4 - 1e-9]).tolist() == [6, 6, 6, 5]


@given(st.lists(st.floats(1, 10), max_size=30), st.integers(1, 40))
def test_bins_are_those_of_a_histogram(means: list[float], bins: int) -> None:
    where, edges = rating_bins(means, bins), rating_edges(bins)
    assert (np.bincount(where, minlength=bins) == np.histogram(np.round(means, 12), edges)[0]).all()
    for mean, b in zip(means, where, strict=True):
        assert edges[b] - 1e-12 <= mean <= edges[b + 1]


@pytest.mark.parametrize("mean", [0.999, 10.0001, float("nan"), float("inf"), -3])
def test_means_outside_the_scale_have_no_bin(mean: float) -> None:
    with pytest.raises(RequestError, match="possible: 1 to 10"):
        rating_bins([5, mean])


@pytest.mark.parametrize("bins", [0, -1, 1001])
def test_impossible_bins(bins: int) -> None:
    with pytest.raises(RequestError, match="possible: 1 to 1000"):
        rating_bins([5], bins)


def test_lists_of_ids(written: Write) -> None:
    assert read_id_list(written("629797\r\n902498\n\n588000", "test.jpgl")) == ("629797", "902498", "588000")
    for content, says in (
        ("1\n2\nx.jpg\n", "line 3: the id is 'x.jpg'"),
        ("1\n2\n1\n", "line 3: id '1' is that of line 1 too"),
        ("", "is empty"),
        (b"\xff\xfe", r"line 1: the id is '\xff\xfe'"),
    ):
        assert says in refused(written(content, "test.jpgl"), read_id_list)


def test_the_data_sets_are_read(data: Path) -> None:
    biq = read_labels(data / "biq2021/labels.csv")
    oasis = read_labels(data / "oasis_beauty/labels.csv")
    ava = read_labels(data / "ava/AVA_part.txt")
    assert [(len(labels), labels.inferred) for labels in (biq, oasis, ava)] == [
        (2700, True), (629, False), (25551, False)
    ]  # fmt: skip
    for labels, folder in ((biq, "biq2021"), (oasis, "oasis_beauty")):
        photographs = sorted((data / folder / "images").iterdir())
        rows = labels.match(photographs)
        assert None not in rows
        assert labels.gaps(photographs, rows) == []
    assert ava.match(sorted((data / "golden/images").iterdir())).count(None) < 5
    assert len(read_ava(data / "ava/AVA_part.txt")) == 25551


def test_the_official_lists_are_read(data: Path) -> None:
    assert len(read_id_list(data / "ava/aesthetics_image_lists/generic_test.jpgl")) == 20000
    for path in data.glob("ava/*/*.jpgl"):
        assert len(read_id_list(path)) >= 2500


@pytest.mark.parametrize(
    ("means", "says"),
    [
        ("4.1 1 5", "--scale 1..5 (they are brought to 1..10) or --scale 1..10 (they are what they are)"),
        ("0.2 0.9", "--scale 0..1 (they are brought to 1..10) or --scale 0..10 (they are brought to 1..10) or"),
        ("7 88", "--scale 0..100 (they are brought to 1..10) or --scale 1..100"),
        ("5 11", "--scale 1..10 (a row outside is wrong)"),
        ("-3 500", "possible: --scale LOW..HIGH (they are brought to 1..10) or --scale 1..10 (a row"),
    ],
)
def test_a_scale_that_nobody_stated_is_asked_for(written: Write, means: str, says: str) -> None:
    rows = "".join(f"{place}.jpg,{mean}\n" for place, mean in enumerate(means.split()))
    path = written(f"file,mean_rating\n{rows}")
    assert says in refused(path)
    with pytest.raises(RequestError, match='possible: scale = "'):
        read_labels(path, ask='scale = "{}"')


def test_means_come_to_ten(written: Write) -> None:
    labels = read_labels(written("file,mean_rating\na,1\nb,3\nc,5\n"), "1..5")
    assert labels.means.tolist() == [1, 5.5, 10]
    assert str(labels.scale) == "1..5"
    assert read_labels(written("file,mean_rating\na,-1\nb,1\n"), "-1..1").means.tolist() == [1, 10]
    assert read_labels(written("file,mean_rating\na,4\nb,2\n"), "1..10").means.tolist() == [4, 2]
    assert read_labels(written("file,mean_rating,scale\na,50,0..100\n")).means.tolist() == [5.5]


@given(st.lists(st.floats(0, 1000), min_size=2, max_size=10).filter(lambda votes: sum(votes) > 1))
def test_votes_on_fewer_ratings_keep_their_mean(votes: list[float]) -> None:
    k, given_votes = len(votes), np.array([votes])
    spread = spread_votes(given_votes)
    assert spread.shape == (1, 10)
    assert spread.sum() == pytest.approx(sum(votes))
    mean = float(given_votes[0] @ np.arange(1, k + 1) / sum(votes))
    assert mean_rating(spread)[0] == pytest.approx(1 + 9 * (mean - 1) / (k - 1))
    assert spread_votes(np.eye(5)[2:3]).tolist() == [[0] * 4 + [0.5, 0.5] + [0] * 4]


def test_scales_that_cannot_be(written: Write) -> None:
    votes = written(f"{VOTES}\na,a.jpg,{'1,' * 9}1\n", "votes.csv")
    means = written("file,mean_rating,scale\na,4,1..10\n")
    ava = written(ROW + "\n", "AVA.txt")
    for path, scale, says in (
        (votes, "1..5", "holds votes on the ratings 1..10: their scale is not 1..5"),
        (ava, "0..100", "their scale is not 0..100"),
        (means, "1..5", "line 2: scale is 1..10; possible: 1..5, as is stated before"),
        (means, "five", "the scale is 'five'; possible: LOW..HIGH, such as 1..5 or 0..100"),
        (means, "5..5", "the lower number first"),
    ):
        with pytest.raises(RequestError, match=re.escape(says)):
            read_labels(path, scale)
    assert len(read_labels(ava, "1..10")) == 1
