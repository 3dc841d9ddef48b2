"""Who may see the page, without a server: tokens, sessions, waiting, and options that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_nima.errors import RequestError
from edge_nima.web.auth import WRONG_TOKENS, Attempts, Guard
from edge_nima.web.history import STEPS, History
from edge_nima.web.options import Options
from edge_nima.web.viewers import PATIENCE_S, Viewers

TOKEN = "a-token-for-tests-0123456789"


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_loopback_page_needs_no_token_and_every_other_gets_one() -> None:
    assert Options().with_token().token is None
    assert Options(bind="localhost").with_token().token is None
    assert Options(bind="::1").with_token().token is None
    made = {Options(bind=bind).with_token().token for bind in ("0.0.0.0", "::", "192.168.1.5", "garden.local")}
    assert len(made) == 4
    assert all(token is not None and len(token) >= 32 for token in made)
    assert Options(bind="0.0.0.0", token=TOKEN).with_token().token == TOKEN


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"token": "short"}, r"has 5 characters; possible: 16 and more"),
        ({"token": ""}, r"has 0 characters"),
        ({"token": "a token with spaces in it"}, "other than ASCII"),
        ({"token": "ein-gutes-Wörtchen-mit-Umlaut"}, "other than ASCII"),
        ({"port": 65536}, "possible: 1 to 65535"),
        ({"port": -1}, "possible: 1 to 65535"),
        ({"viewers": 0}, "possible: 1 and more"),
        ({"certificate": Path("cert.pem")}, "needs both files"),
        ({"certificate": Path("no.pem"), "key": Path("no.pem")}, "no such file: 'no.pem'"),
    ],
)
def test_options_that_cannot_be_are_refused_with_what_can(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        Options(**wrong)  # type: ignore[arg-type]


def test_a_session_proves_the_token_without_holding_it() -> None:
    guard = Guard(TOKEN)
    session = guard.new_session()
    assert guard.holds(session)
    assert TOKEN not in session
    assert Guard(TOKEN).holds(session)  # after a restart too
    assert not Guard(TOKEN + "x").holds(session)
    assert guard.new_session() != session
    nonce, _, proof = session.partition(".")
    for forged in ("", ".", nonce, f"{nonce}.", f"x{nonce}.{proof}", f"{nonce}.{proof[:-1]}", "é.é", f".{proof}"):
        assert not guard.holds(forged)


def test_each_session_has_a_csrf_token_of_its_own() -> None:
    guard = Guard(TOKEN)
    one, other = guard.new_session(), guard.new_session()
    assert guard.csrf_holds(one, guard.csrf(one))
    assert not guard.csrf_holds(one, guard.csrf(other))
    assert not guard.csrf_holds(one, "")
    assert not guard.csrf_holds(one, "ä")


def test_ten_wrong_tokens_in_a_minute_make_an_address_wait_and_no_other() -> None:
    clock = Clock()
    guard = Guard(TOKEN, clock)
    for i in range(WRONG_TOKENS):
        assert guard.attempts.wait("10.0.0.9") == 0
        assert not guard.admits(f"wrong{i}", "10.0.0.9")
        clock.now += 1
    assert guard.attempts.wait("10.0.0.9") == pytest.approx(50)
    assert guard.attempts.wait("10.0.0.8") == 0
    clock.now += 50
    assert guard.attempts.wait("10.0.0.9") == 0
    assert guard.admits(TOKEN, "10.0.0.9")
    assert not guard.admits("\udcff\x00é" * 1000, "10.0.0.9")


def test_who_has_an_ipv6_network_is_one_address() -> None:
    attempts = Attempts(Clock())
    for i in range(WRONG_TOKENS):
        attempts.failed(f"2001:db8:0:1::{i}")
    assert attempts.wait("2001:db8:0:1:ffff::5") > 0
    assert attempts.wait("2001:db8:0:2::5") == 0
    for _ in range(WRONG_TOKENS):
        attempts.failed("::ffff:10.0.0.9")
    assert attempts.wait("10.0.0.9") > 0


def test_the_table_of_wrong_tokens_is_bounded() -> None:
    attempts = Attempts(Clock())
    for i in range(5000):
        attempts.failed(f"10.{i // 65536}.{i // 256 % 256}.{i % 256}")
    assert len(attempts._of) == 1024


def test_viewers_are_counted_and_those_that_take_too_long_are_let_go() -> None:
    clock = Clock()
    viewers = Viewers(2, clock)
    one, two = viewers.join(), viewers.join()
    assert one is not None
    assert two is not None
    assert viewers.join() is None
    assert viewers.find(one.name) is one
    with one:
        clock.now += 60  # it waits for us
        assert one.here
        assert not two.here
    clock.now += PATIENCE_S
    assert one.here
    clock.now += 0.1
    assert not one.here
    viewers.leave(two)
    viewers.leave(two)
    assert viewers.count == 1
    assert viewers.join() is not None


def test_the_last_hour_is_kept_in_steps_of_ten_seconds_with_gaps() -> None:
    clock = Clock(3.0)  # a machine that has just started: the hour before has negative steps
    history = History(clock)
    history.seed([(10_000.0 - 4000, 9.0), (10_000.0 - 31, 5.0), (10_000.0 - 30.5, 6.0), (10_000.0 + 99, 1.0)], 10_000.0)
    assert history.points() == [(-3, 5.0, 5.5, 6.0, 2)]
    history.add(4.0)
    clock.now = 9.9
    history.add(5.0)
    clock.now = 25.0
    history.add(7.0)
    assert history.points() == [(-3, 5.0, 5.5, 6.0, 2), (0, 4.0, 4.5, 5.0, 2), (2, 7.0, 7.0, 7.0, 1)]
    assert history.last() == (2, 7.0, 7.0, 7.0, 1)
    for _ in range(STEPS + 100):
        clock.now += 10
        history.add(5.0)
    assert len(history.points()) == STEPS
    clock.now += 3600
    assert history.points() == []
