"""Who may see the page, without a server: tokens, sessions, waiting, and options that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from edge_nima.errors import RequestError
from edge_nima.outputs.web import WebSettings
from edge_nima.outputs.web.feed import STEPS, History
from edge_nima.outputs.web.security import WRONG_TOKENS, TokenAuth
from watched import TOKEN


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_loopback_page_needs_no_token_and_every_other_gets_one() -> None:
    for bind in ("127.0.0.1", "localhost", "::1"):
        assert WebSettings(web=0, web_bind=bind).token() == (None, False)
    settings = [WebSettings(web=0, web_bind=bind) for bind in ("0.0.0.0", "::", "192.168.1.5", "garden.local")]
    made = [one.token() for one in settings]
    assert len({token for token, _ in made}) == 4
    assert all(new and token is not None and len(token) >= 32 for token, new in made)
    assert [one.token() for one in settings] == [(token, False) for token, _ in made]  # read again
    assert WebSettings(web=0, web_bind="0.0.0.0", web_token=TOKEN).token() == (TOKEN, False)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"web_token": "short"}, r"has 5 characters; possible: 16 or more ASCII"),
        ({"web_token": ""}, r"has 0 characters"),
        ({"web_token": "a token with spaces in it"}, "possible: 16 or more ASCII letters, digits and signs"),
        ({"web_token": "ein-gutes-Wörtchen-mit-Umlaut"}, "possible: 16 or more ASCII letters, digits and signs"),
        ({"web_cert": "cert.pem"}, "needs both files"),
        ({"web_cert": "no.pem", "web_key": "no.pem"}, "no such file: 'no.pem'"),
        ({"web_base": "camera"}, "--web-base is 'camera'; possible: a path such as /camera"),
        ({"web_base": "/a/../b"}, "possible: a path such as /camera"),
        ({"web_base": "/a;x"}, "possible: a path such as /camera"),
        ({"web_proxy": "127.0.0.1, proxy.local"}, "--web-proxy has 'proxy.local'; possible: addresses and networks"),
        ({"web_frame_ancestors": "none https://ha.local"}, "is 'none https://ha.local'; possible: none, or self and"),
        ({"web_frame_ancestors": "https://ha.local; script-src *"}, "is 'https://ha.local; script-src"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_what_can(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        WebSettings(web=8080, **wrong).check()


def test_settings_that_can_be_are_taken() -> None:
    settings = WebSettings(
        web=8080, web_base="/api/hassio_ingress/x-_1/", web_proxy="172.30.32.2, fd00::/8",
        web_frame_ancestors="self, https://ha.local:8123 *.example.org",
    )  # fmt: skip
    settings.check()
    assert settings.frame_ancestors == "'self' https://ha.local:8123 *.example.org"


def test_a_session_proves_the_token_without_holding_it_until_it_is_revoked() -> None:
    auth = TokenAuth(TOKEN)
    session, other = auth.new_session(), auth.new_session()
    assert auth.holds(session)
    assert TOKEN not in session
    assert session != other
    assert auth.csrf(session) != auth.csrf(other)
    assert not TokenAuth(TOKEN + "x").holds(session)
    nonce, _, proof = session.partition(".")
    for forged in ("", ".", nonce, f"{nonce}.", f"x{nonce}.{proof}", f"{nonce}.{proof[:-1]}", "é.é", f".{proof}"):
        assert not auth.holds(forged)
    auth.revoke(session)
    for later in (auth, TokenAuth(TOKEN)):  # after the settings were read again too
        assert not later.holds(session)
        assert later.holds(other)


def test_ten_wrong_tokens_in_a_minute_make_an_address_wait_and_no_other() -> None:
    clock = Clock()
    auth = TokenAuth(TOKEN, clock)
    for i in range(WRONG_TOKENS):
        assert auth.wait("10.0.0.9") == 0
        assert not auth.admits(f"wrong{i}", "10.0.0.9")
        clock.now += 1
    assert auth.wait("10.0.0.9") == auth.wait("::ffff:10.0.0.9") == pytest.approx(50)
    assert auth.wait("10.0.0.8") == 0
    clock.now += 50
    assert auth.wait("10.0.0.9") == 0
    assert auth.admits(TOKEN, "10.0.0.9")
    assert not auth.admits("\udcff\x00é" * 1000, "10.0.0.9")
    for i in range(WRONG_TOKENS):  # who has an IPv6 network is one address
        auth.admits("wrong", f"2001:db8:0:1::{i}")
    assert auth.wait("2001:db8:0:1:ffff::5") > 0
    assert auth.wait("2001:db8:0:2::5") == 0
    for i in range(5000):
        auth.admits("wrong", f"10.{i // 65536}.{i // 256 % 256}.{i % 256}")
    assert len(auth._wrong) == 1024


def test_the_last_hour_is_kept_in_steps_of_ten_seconds_with_gaps() -> None:
    clock = Clock(3.0)  # a machine that has just started: the hour before has negative steps
    history = History(clock)
    for ago_s, mean in ((4000, 9.0), (31, 5.0), (30.5, 6.0), (-99, 1.0)):
        history.add(mean, ago_s)
    assert history.points() == [(-3, 5.0, 5.5, 6.0, 2)]
    history.add(4.0)
    clock.now = 9.9
    history.add(5.0)
    clock.now = 25.0
    history.add(7.0)
    assert history.points() == [(-3, 5.0, 5.5, 6.0, 2), (0, 4.0, 4.5, 5.0, 2), (2, 7.0, 7.0, 7.0, 1)]
    for _ in range(STEPS + 100):
        clock.now += 10
        history.add(5.0)
    assert len(history.points()) == STEPS
    clock.now += 3600
    assert history.points() == []
