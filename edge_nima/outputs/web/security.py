"""Who may see the page: a token, the sessions that come of it, and what every request is checked for."""

from __future__ import annotations

import hmac
import re
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from edge_nima.outputs.web.listening import text_response

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

WRONG_TOKENS, WINDOW_S = 10, 60.0  # from one address within so many seconds; the next one waits
CSRF = "x-edge-nima-csrf"
_ADDRESSES, _COOKIE_S = 1024, 30 * 24 * 3600
_READS = {"GET", "HEAD"}
_HEADERS = {
    b"x-content-type-options": b"nosniff", b"referrer-policy": b"no-referrer", b"cache-control": b"no-store",
    b"cross-origin-resource-policy": b"same-origin", b"cross-origin-opener-policy": b"same-origin",
}  # fmt: skip
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors {ancestors}; base-uri 'none'"
)
# Sessions that were signed out of. Of the process: a service that reads its settings again makes a new server.
_revoked: set[str] = set()


class TokenAuth:
    """Compares tokens; makes, knows and ends sessions. A session holds a proof of the token, never the token."""

    def __init__(self, token: str | None, clock: Callable[[], float] = monotonic) -> None:
        """`token` None: everyone may look; sessions then only guard against requests that other pages make."""
        self.open = token is None
        secret = (token or secrets.token_urlsafe(32)).encode()
        self._expected = sha256(secret).digest()
        self._key = hmac.digest(secret, b"edge_nima page session", "sha256")
        self._clock = clock
        self._wrong: dict[str, deque[float]] = {}  # times, by address

    def wait(self, address: str) -> float:
        """Seconds until this address may try a token again, after WRONG_TOKENS wrong ones; 0 when it may now."""
        times = self._wrong.get(_network(address), deque())
        return 0.0 if len(times) < WRONG_TOKENS else max(0.0, times[0] + WINDOW_S - self._clock())

    def admits(self, token: str, address: str) -> bool:
        """Whether the token is right; a wrong one is remembered against the address. Ask `wait` first."""
        # Digests have one length: the comparison takes as long for every token.
        right = hmac.compare_digest(sha256(token.encode("utf-8", "surrogateescape")).digest(), self._expected)
        times = self._wrong.pop(_network(address), deque(maxlen=WRONG_TOKENS))
        if not right:
            self._wrong[_network(address)] = times
            times.append(self._clock())
            if len(self._wrong) > _ADDRESSES:
                del self._wrong[next(iter(self._wrong))]  # unheard of for longest
        return right

    def new_session(self) -> str:
        """A value for a cookie."""
        nonce = secrets.token_urlsafe(12)
        return f"{nonce}.{self._proof('session', nonce)}"

    def holds(self, session: str) -> bool:
        """Whether a cookie's value came from `new_session`, under this token, and was not revoked."""
        nonce, _, proof = session.partition(".")
        return _same(proof, self._proof("session", nonce)) and session not in _revoked

    def revoke(self, session: str) -> None:
        """End a session: copies of its cookie are worth nothing from now on, as long as the process lives."""
        _revoked.add(session)

    def csrf(self, session: str) -> str:
        """What requests that change something must carry in a header: pages of other sites cannot read it."""
        return self._proof("csrf", session)

    def _proof(self, of: str, value: str) -> str:
        return hmac.digest(self._key, f"{of}:{value}".encode("utf-8", "replace"), "sha256").hex()


def _network(address: str) -> str:
    # Whoever has one IPv6 address has 2^64 of them.
    with suppress(ValueError):
        parsed = ip_address(address.partition("%")[0])
        if isinstance(parsed, IPv6Address):
            return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
    return address


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def base_path(text: str) -> str | None:
    """A base path without a slash at its end, "" for "/"; None when the text is none."""
    found = re.fullmatch(r"((?:/(?!\.\.?(?:/|$))[\w.~-]+)*)/?", text, re.ASCII)
    return found and found[1]


class SecurityMiddleware:
    """Checks every request: does it come from our own page, from someone who may look?

    Behind a trusted proxy the client's address, the scheme, host and base path are those that it forwards. The scope's
    state then has `session`: "" where the token came with the request.
    """

    def __init__(self, app: ASGIApp, auth: TokenAuth, base: str, frame_ancestors: str, proxies: str) -> None:
        """`base` without a slash at its end; `frame_ancestors` as the policy has it; `proxies` comma-separated."""
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        self._app, self._auth, self._base = app, auth, base
        self._forwarded = ProxyHeadersMiddleware(self._checked, proxies)  # type: ignore[arg-type]
        self._headers = {**_HEADERS, b"content-security-policy": _POLICY.format(ancestors=frame_ancestors).encode()}
        # In another site's frame a cookie comes along with SameSite=None only: over HTTPS, and mostly Partitioned.
        self._framed = bool(set(frame_ancestors.split()) - {"'none'", "'self'"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let through; either with the headers that all responses have."""
        scope.setdefault("state", {})["from_proxy"] = scope["client"][0] in self._forwarded.trusted_hosts

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = list({**self._headers, **dict(message["headers"])}.items())
            await send(message)

        await self._forwarded(scope, receive, send_on)  # type: ignore[arg-type]

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        state, host, base = scope["state"], headers.get("host", ""), self._base
        if state["from_proxy"]:
            host = headers.get("x-forwarded-host", host).partition(",")[0].strip()
            base = base_path(headers.get("x-ingress-path", "")) or base
        state["base"], path = base, scope["path"]
        if base and (path == base or path.startswith(f"{base}/")):  # a proxy may strip it, or not
            scope["path"] = path[len(base) :]
        response = _foreign(scope, headers, host)
        if response is None:
            response = self._unknown(scope, headers) if scope["path"] else redirect(f"{base}/")
        await (response or self._app)(scope, receive, send)

    def sign_in(self, token: str, scope: Scope) -> Response:
        """Answer to a token: 303 with a session's cookie; 401 when it is wrong; 429 when too many were."""
        if (wrong := self._wrong(token, scope)) is not None:
            return wrong
        return redirect("./", {"set-cookie": self._cookie(scope, self._auth.new_session(), _COOKIE_S)})

    def sign_out(self, scope: Scope) -> Response:
        """End the session of this request."""
        from starlette.responses import Response

        if scope["state"]["session"] and not self._auth.open:
            self._auth.revoke(scope["state"]["session"])
        return Response(status_code=204, headers={"set-cookie": self._cookie(scope, "", 0)})

    def _wrong(self, token: str, scope: Scope) -> Response | None:
        if (wait := self._auth.wait(scope["client"][0])) > 0:
            seconds = f"{int(wait) + 1}"
            return text_response(429, f"too many wrong tokens; try again in {seconds} s", {"Retry-After": seconds})
        return None if self._auth.admits(token, scope["client"][0]) else text_response(401, "this is not the token")

    def _cookie_name(self, scope: Scope) -> str:
        # Cookies know no ports: two cameras on one machine would overwrite each other's.
        prefix = ("__Secure-" if scope["state"]["base"] else "__Host-") if scope["scheme"] == "https" else ""
        return f"{prefix}edge_nima_{scope['server'][1]}"

    def _cookie(self, scope: Scope, value: str, seconds: int) -> str:
        # By hand: http.cookies knows Partitioned from Python 3.14 on.
        secure = scope["scheme"] == "https"
        site = "None; Partitioned" if self._framed and secure else "Strict"
        return (
            f"{self._cookie_name(scope)}={value}; Path={scope['state']['base'] or '/'}; Max-Age={seconds}; HttpOnly; "
            f"SameSite={site}{'; Secure' if secure else ''}"
        )

    def _unknown(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        # Why one who asks may not; None when they may.
        path, method, state = scope["path"], scope["method"], scope["state"]
        # Not http.cookies: before Python 3.11.10 a long quoted value keeps it busy for minutes. Ours has no quotes.
        cookies = dict(cookie.strip().partition("=")[::2] for cookie in headers.get("cookie", "").split(";"))
        session = cookies.get(self._cookie_name(scope), "")
        state["session"] = "loopback" if self._auth.open else session if self._auth.holds(session) else None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        token = bearer.strip() if scheme.lower() == "bearer" else given if path == "/live.jpg" else ""
        if token and state["session"] is None:
            if (wrong := self._wrong(token, scope)) is not None:
                wrong.headers["WWW-Authenticate"] = "Bearer"
                return wrong
            state["session"] = ""
        elif path == "/" and given and method == "GET":
            return redirect("./") if state["session"] else self.sign_in(given, scope)
        if path == "/login" or path.startswith("/static/"):
            return None
        if state["session"] is None:
            # No redirect: after a link on another site, a SameSite=Strict cookie comes only with our page's requests.
            headers = {"Refresh": "0;url=login"} if path == "/" else {}
            return text_response(401, "sign in at /login, or send the header 'Authorization: Bearer TOKEN'", headers)
        changes = method not in _READS and state["session"] != ""
        if changes and not _same(headers.get(CSRF, ""), self._auth.csrf(state["session"])):
            return text_response(
                403, f"refused: the header {CSRF} is missing or from another session; load the page again"
            )
        return None


def redirect(path: str, headers: dict[str, str] | None = None) -> Response:
    """See other."""
    from starlette.responses import RedirectResponse

    return RedirectResponse(path, 303, headers)


def _foreign(scope: Scope, headers: dict[str, str], host: str) -> Response | None:
    # The answer to what another site's page asks for; None when it is none.
    origin, looks = headers.get("origin"), headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
    foreign = headers.get("sec-fetch-site") in {"cross-site", "same-site"} and not looks
    if origin is not None and scope["method"] not in _READS:
        # "null": a form on a page that sends no referrer. Not the scheme: a proxy may have taken TLS off.
        form = origin == "null" and scope["path"] == "/login"
        foreign |= not form and origin.partition("://")[2].lower() != host.lower()
    return text_response(403, "refused: another site's page asks") if foreign else None
