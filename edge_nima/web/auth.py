"""Who may see the page: a token, the sessions that come of it, and patience with wrong ones."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from time import monotonic

WRONG_TOKENS = 10
"""From one address within `WINDOW_S`; the next one waits."""
WINDOW_S = 60.0
_ADDRESSES = 1024


class Attempts:
    """Wrong tokens of the last minute, by address. Bounded: the address unheard of for longest is forgotten first."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._of: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 when it may now."""
        times = self._of.get(_network(address))
        if times is None or len(times) < WRONG_TOKENS:
            return 0.0
        return max(0.0, times[0] + WINDOW_S - self._clock())

    def failed(self, address: str) -> None:
        """Remember a wrong token."""
        key = _network(address)
        self._of.setdefault(key, deque(maxlen=WRONG_TOKENS)).append(self._clock())
        self._of.move_to_end(key)
        while len(self._of) > _ADDRESSES:
            self._of.popitem(last=False)

    def forget(self, address: str) -> None:
        """It knew the token after all."""
        self._of.pop(_network(address), None)


def _network(address: str) -> str:
    # Whoever has one IPv6 address has 2^64 of them.
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
    return str(parsed)


class Guard:
    """Compares tokens, and makes and knows sessions. A session holds a proof of the token, never the token."""

    def __init__(self, token: str | None, clock: Callable[[], float] = monotonic) -> None:
        """`token` None: everyone may look; sessions then only guard against requests that other pages make."""
        self.open = token is None
        secret = (token or secrets.token_urlsafe(32)).encode()
        self._expected = sha256(secret).digest()
        self._key = hmac.digest(secret, b"edge_nima page session", "sha256")
        self.attempts = Attempts(clock)

    def admits(self, token: str, address: str) -> bool:
        """Whether the token is right; a wrong one is remembered against the address. Ask `attempts.wait` first."""
        # Digests have one length, whatever was sent: the comparison takes as long for every token.
        right = hmac.compare_digest(sha256(token.encode("utf-8", "surrogateescape")).digest(), self._expected)
        if right and not self.open:
            self.attempts.forget(address)
            return True
        self.attempts.failed(address)
        return False

    def new_session(self) -> str:
        """A value for a cookie."""
        nonce = secrets.token_urlsafe(12)
        return f"{nonce}.{self._proof('session', nonce)}"

    def holds(self, session: str) -> bool:
        """Whether a cookie's value came from `new_session`, under this token."""
        nonce, _, proof = session.partition(".")
        return hmac.compare_digest(proof.encode("utf-8", "replace"), self._proof("session", nonce).encode())

    def csrf(self, session: str) -> str:
        """What requests that change something must carry in a header: pages of other sites cannot read it."""
        return self._proof("csrf", session)

    def csrf_holds(self, session: str, given: str) -> bool:
        """Whether it is that."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.csrf(session).encode())

    def _proof(self, of: str, value: str) -> str:
        return hmac.digest(self._key, f"{of}:{value}".encode("utf-8", "replace"), "sha256").hex()
