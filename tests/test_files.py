"""Which photographs a list of paths names, and in which order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_nima.errors import RequestError
from edge_nima.photographs import find_photographs


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder; files are empty, as nothing here opens them."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def names(*paths: str | Path) -> list[str]:
    return [str(path) for path in find_photographs(paths)]


def test_a_folder_gives_all_beneath_it_sorted_and_without_hidden_ones(shelf: Path) -> None:
    touch("d/b.jpg", "d/A.JPG", "d/c/z.png", "d/c.jpg", "d/.hidden.jpg", "d/.git/x.jpg", "d/notes.txt", "d/a/1.jpeg")
    assert names("d") == ["d/A.JPG", "d/a/1.jpeg", "d/b.jpg", "d/c/z.png", "d/c.jpg"]
    assert names("d/") == names("d")


def test_a_file_named_outright_is_listed_whatever_it_is_called(shelf: Path) -> None:
    touch("scan.dat", ".hidden.jpg")
    assert names("scan.dat", ".hidden.jpg") == ["scan.dat", ".hidden.jpg"]


def test_each_photograph_is_listed_once_however_often_it_is_named(shelf: Path) -> None:
    touch("d/a.jpg", "d/b.jpg")
    os.symlink("d", "link")
    assert names("d/b.jpg", "d", "./d/a.jpg", "d/../d/a.jpg", shelf / "d", "link", "d/*.jpg") == ["d/b.jpg", "d/a.jpg"]


def test_dots_after_a_linked_folder_do_not_mix_two_photographs_up(shelf: Path) -> None:
    touch("real/inner/x", "real/a.jpg", "a.jpg")
    os.symlink("real/inner", "link")
    assert names("link/../a.jpg", "a.jpg") == ["link/../a.jpg", "a.jpg"]


def test_a_name_with_brackets_that_exists_is_no_pattern(shelf: Path) -> None:
    touch("a[1].jpg", "a1.jpg", "b*.jpg", "bb.jpg", "trip [2]/x.jpg", "trip [2]/y.jpg", "trip 2/z.jpg")
    assert names("a[1].jpg") == ["a[1].jpg"]
    assert names("b*.jpg") == ["b*.jpg"]
    assert names("trip [2]") == ["trip [2]/x.jpg", "trip [2]/y.jpg"]
    assert names("trip [2]/*.jpg") == ["trip [2]/x.jpg", "trip [2]/y.jpg"]
    assert names("trip [2]/**/*.jpg") == ["trip [2]/x.jpg", "trip [2]/y.jpg"]
    assert names("a[1-3].jpg") == ["a1.jpg"]


def test_patterns_reach_into_folders(shelf: Path) -> None:
    touch("p/a.jpg", "p/b.png", "p/q/c.jpg", "p/q/r/d.jpg", "p/.h/e.jpg", "p/q/.f.jpg", "top.jpg")
    assert names("p/*.jpg") == ["p/a.jpg"]
    assert names("p/*/*.jpg") == ["p/q/c.jpg"]
    assert names("p/**/*.jpg") == ["p/a.jpg", "p/q/c.jpg", "p/q/r/d.jpg"]
    assert names("**/*.jpg") == ["p/a.jpg", "p/q/c.jpg", "p/q/r/d.jpg", "top.jpg"]
    assert names("p/**/r/**/*.jpg") == ["p/q/r/d.jpg"]
    assert names("p/**") == names("p")
    assert names("**") == names("**/*") == ["p/a.jpg", "p/b.png", "p/q/c.jpg", "p/q/r/d.jpg", "top.jpg"]
    assert names(f"{shelf}/**/q/*.jpg") == [f"{shelf}/p/q/c.jpg"]
    assert names("?op.jpg") == ["top.jpg"]


def test_an_open_pattern_leaves_out_what_is_no_photograph_and_a_closed_one_does_not(shelf: Path) -> None:
    touch("p/a.jpg", "p/notes.txt", "p/x.dat")
    assert names("p/*") == names("p/*.*") == ["p/a.jpg"]
    assert names("p/*.dat") == ["p/x.dat"]


def test_the_order_does_not_depend_on_the_locale_and_names_need_not_be_utf8(shelf: Path) -> None:
    odd = os.fsdecode(b"d/\xff.jpg")
    try:
        touch(odd, "d/\U0001f4f7.jpg", "d/é.jpg", "d/z.jpg")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    wanted = ["d/z.jpg", "d/é.jpg", "d/\U0001f4f7.jpg", odd]
    assert names("d") == names("d/*.jpg") == wanted


@pytest.mark.parametrize("pattern", ["d", "d/**/*.jpg", "**/*.jpg"])
def test_folders_that_link_back_are_entered_once(shelf: Path, pattern: str) -> None:
    touch("d/a.jpg", "d/e/b.jpg")
    os.symlink(".", "d/loop1")  # two of them: following both would take 2**40 steps
    os.symlink("..", "d/e/loop2")
    os.symlink("self", "d/self")
    assert [os.path.basename(name) for name in names(pattern)] == ["a.jpg", "b.jpg"]


def test_a_link_that_leads_to_itself_is_listed_so_that_its_record_says_why(shelf: Path) -> None:
    os.mkdir("d")
    os.symlink("x.jpg", "d/x.jpg")
    os.symlink("gone.jpg", "d/dangling.jpg")
    assert names("d") == ["d/dangling.jpg", "d/x.jpg"]
    assert names("d/x.jpg") == ["d/x.jpg"]


def test_folders_nested_deeper_than_python_calls_are_walked(shelf: Path) -> None:
    deep = "d" + "/n" * 1200
    for n in range(1201):
        os.mkdir("d" + "/n" * n)
    Path(f"{deep}/a.jpg").touch()
    assert names("d") == [f"{deep}/a.jpg"]
    # pytest removes its folders by recursion
    while deep != "d":
        for name in os.listdir(deep):
            if name.endswith(".jpg"):
                os.unlink(f"{deep}/{name}")
        os.rmdir(deep)
        deep = os.path.dirname(deep)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.jpg", "no such file or folder: 'none.jpg'"),
        ("a.jpg/b.jpg", "no such file or folder"),
        ("empty", "no photographs in 'empty': it is empty"),
        ("texts", "no photographs in 'texts': left out: 2 .txt"),
        ("hidden", "no photographs in 'hidden'"),
        ("*.png", "the pattern '*.png' matches no photograph"),
        ("texts/*", "the pattern 'texts/*' matches no photograph"),
        ("nowhere/**/*.jpg", "matches no photograph"),
        ("", "no such file or folder: ''"),
        ("a\0b", "no such file or folder"),
        ("x" * 300, "cannot open 'x+': File name too long"),
    ],
)
def test_what_names_no_photograph_is_refused_with_the_reason(shelf: Path, path: str, message: str) -> None:
    touch("a.jpg", "texts/a.txt", "texts/b.txt", "hidden/.a.jpg")
    os.mkdir("empty")
    pattern = message if "x+" in message else message.replace("*", r"\*")
    with pytest.raises(RequestError, match=pattern) as caught:
        find_photographs(["a.jpg", path])
    assert "\n" not in str(caught.value)
