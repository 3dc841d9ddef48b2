"""What every request passes: is it for us, is it small, does it come from our own page, from someone who may look?"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from edge_nima.web.answers import answer, html, see, told
from edge_nima.web.auth import Guard

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY = 4096
"""Bytes that a request may bring."""
_HEAD, _ADDRESS = 16 * 1024, 2048  # bytes of its headers and of its address
CSRF = "x-edge-nima-csrf"
_METHODS = {"GET", "HEAD", "POST", "DELETE"}
_HOSTS = {"localhost", "127.0.0.1", "::1"}
_COOKIE_S = 30 * 24 * 3600
_HEADERS = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}
# A cookie that is SameSite=Strict does not come along when a link on another site leads here, nor with a redirect after
# such a link. It does with the next request, which this page makes.
_ONWARD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>edge_nima</title>'
    '<meta http-equiv="refresh" content="0;url=/login"><a href="/login">Sign in</a></html>\n'
)


class Door:
    """Stands before the application."""

    def __init__(self, app: ASGIApp, guard: Guard, port: int, tls: bool) -> None:
        self._app, self._guard, self._tls = app, guard, tls
        # Cookies know no ports: two cameras on one machine would overwrite each other's.
        self._cookie = f"{'__Host-' if tls else ''}edge_nima_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let through; either with the headers that all answers have."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"], *(header for header in _HEADERS.items() if header[0] not in have)
                ]  # fmt: skip
            await send(message)

        refusal = self._refused(scope, headers) or self._unknown(scope, headers)
        await (refusal or self._app)(scope, receive, send_on)

    def admit(self, token: str, scope: Scope) -> Response:
        """Answer to a token: 303 with a session's cookie; 401 when it is wrong; 429 when too many were."""
        address = scope["client"][0] if scope.get("client") else ""
        wait = self._guard.attempts.wait(address)
        if wait > 0:
            seconds = f"{int(wait) + 1}"
            return told(429, f"too many wrong tokens; try again in {seconds} s", {"Retry-After": seconds})
        if not self._guard.admits(token, address):
            return told(401, "this is not the token")
        reply = see("/")
        reply.set_cookie(
            self._cookie, self._guard.new_session(), max_age=_COOKIE_S, httponly=True, samesite="strict",
            secure=self._tls, path="/",
        )  # fmt: skip
        return reply

    def dismiss(self) -> Response:
        """End a session."""
        reply = answer(204)
        reply.delete_cookie(self._cookie, path="/", secure=self._tls, httponly=True, samesite="strict")
        return reply

    def _refused(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """Why a request is no good, whoever makes it; None when it is."""
        if scope["method"] not in _METHODS:
            return told(405, "possible: GET, HEAD, POST, DELETE", {"Allow": ", ".join(sorted(_METHODS))})
        if len(scope["raw_path"]) + len(scope["query_string"]) > _ADDRESS:
            return told(414, f"an address has at most {_ADDRESS} bytes")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > _HEAD:
            return told(431, f"headers have at most {_HEAD} bytes")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY:
            return told(413, f"a request brings at most {BODY} bytes", {"Connection": "close"})
        host = headers.get("host", "")
        if self._guard.open and _host_name(host) not in _HOSTS:
            # Another site's name that points to 127.0.0.1 would make its pages ours.
            return told(421, "here the page is called localhost or 127.0.0.1; with a token it answers to any name")
        site, navigates = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode") == "navigate"
        if site in {"cross-site", "same-site"} and not (navigates and scope["method"] == "GET"):
            return told(403, "refused: another site's page asks")
        origin = headers.get("origin")
        if origin == "null" and scope["path"] == "/login":
            origin = None  # what a browser says of a form on a page that sends no referrer
        if origin is not None and scope["method"] in {"POST", "DELETE"} and not _same_host(origin, host):
            return told(403, "refused: another site's page asks")
        return None

    def _unknown(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """Why one who asks may not; None when they may. Leaves the session in the scope."""
        path, query = scope["path"], scope["query_string"]
        state = scope.setdefault("state", {})
        state["session"], state["bearer"] = None, False
        session = _cookie(headers.get("cookie", ""), self._cookie)
        if self._guard.open:
            state["session"] = "loopback"
        elif session is not None and self._guard.holds(session):
            state["session"] = session
        elif headers.get("authorization", "").lower().startswith("bearer "):
            reply = self.admit(headers["authorization"][7:].strip(), scope)
            if reply.status_code != 303:
                reply.headers["WWW-Authenticate"] = "Bearer"
                return reply
            state["bearer"] = True
        if path == "/" and b"token=" in query and scope["method"] == "GET":
            given = parse_qs(query.decode("latin-1"), max_num_fields=8).get("token", [""])[0]
            return see("/") if self._guard.open or state["session"] else self.admit(given, scope)
        if path == "/login" or path.startswith("/static/"):
            return None
        if state["session"] is None and not state["bearer"]:
            if path == "/" and scope["method"] == "GET":
                return html(401, _ONWARD)
            return told(401, "sign in at /login, or send the header 'Authorization: Bearer TOKEN'")
        changes = scope["method"] in {"POST", "DELETE"} and not state["bearer"]
        if changes and not self._guard.csrf_holds(state["session"] or "", headers.get(CSRF, "")):
            return told(403, f"refused: the header {CSRF} is missing or from another session; load the page again")
        return None


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _same_host(origin: str, host: str) -> bool:
    # The port belongs to it; not the scheme: a proxy may have taken TLS off.
    return origin.partition("://")[2].lower() == host.lower()


def _cookie(header: str, name: str) -> str | None:
    # Not http.cookies: before Python 3.11.10 a long quoted value keeps it busy for minutes. Ours has no quotes.
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return None
