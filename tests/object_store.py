"""An object store on loopback: moto's S3, which checks signatures and permissions, behind faults of networks."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUCKET, CLOSED, GONE = "archive", "closed", "gone"
"""One for our user, one that is there but not for our user, one that is not there."""

POLICY = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource":
 ["arn:aws:s3:::archive", "arn:aws:s3:::archive/*", "arn:aws:s3:::gone*"]}]}"""


class ObjectStore:
    """A running store; `env` is what a command needs to reach it."""

    def __init__(self, port: int, key: str, secret: str, faults: Faults) -> None:
        self.faults = faults
        self.endpoint = f"http://127.0.0.1:{port}"
        self.env = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="eu-west-1", aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip

    def put(self, files: Iterable[Path], prefix: str = "", folder: Path | None = None) -> list[str]:
        """Upload files under their names, or their paths beneath `folder`; their URIs."""
        client, uris = self.client(), []
        for file in files:
            key = prefix + (file.name if folder is None else file.relative_to(folder).as_posix())
            client.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
            uris.append(f"s3://{BUCKET}/{key}")
        return uris


class Faults:
    """WSGI middleware: what happens to GET requests of keys with a word in them."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app
        self.requests: Counter[str] = Counter()
        """By method and key."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        name = path.rsplit("/", 1)[-1]
        self.requests[f"{method} {path}"] += 1
        if method == "GET" and "slow" in name:
            time.sleep(1.0)
        if method == "GET" and "always500" in name:
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []
        if method == "GET" and "once500" in name and self.requests[f"{method} {path}"] == 1:
            start_response("503 Slow Down", [("Content-Length", "0")])
            return []
        if method == "GET" and "torn" in name:
            return self._torn(environ, start_response)
        return self.app(environ, start_response)

    def _torn(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The headers of the whole object, and half of its bytes."""
        body = b"".join(self.app(environ, start_response))
        yield body[: len(body) // 2]


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """moto's server in a thread of this process, with one user who may use one bucket."""
    import boto3
    from moto import settings
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: Any) -> None:
            pass

    os.environ.update(MOTO_ALLOW_NONEXISTENT_REGION="true")
    faults = Faults(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, faults, threaded=True, request_handler=Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.server_port
    root = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "eu-west-1", "aws_access_key_id": "root",
            "aws_secret_access_key": "root"}  # fmt: skip
    settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
    try:
        s3, iam = boto3.client("s3", **root), boto3.client("iam", **root)
        for bucket in (BUCKET, CLOSED):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        iam.create_user(UserName="archivist")
        key = iam.create_access_key(UserName="archivist")["AccessKey"]
        iam.put_user_policy(UserName="archivist", PolicyName="own", PolicyDocument=POLICY)
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        yield ObjectStore(port, key["AccessKeyId"], key["SecretAccessKey"], faults)
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        server.shutdown()
        thread.join()


@contextmanager
def listing_server(count: int, content: bytes = b"") -> Iterator[dict[str, str]]:
    """A bucket of `count` objects with one content, each in a folder of its own, faster than moto; what reaches it."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from urllib.parse import parse_qs, urlparse

    class Pages(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(b"", len(content))

        def do_GET(self) -> None:
            if "list-type" not in self.path:
                self._answer(content, len(content))
                return
            asked = parse_qs(urlparse(self.path).query)
            first = int(asked.get("continuation-token", ["0"])[0])
            last = min(count, first + 1000)
            more = f"<NextContinuationToken>{last}</NextContinuationToken>" if last < count else ""
            page = "".join(
                f"<Contents><Key>2019/{number:09d}/photograph.jpg</Key><LastModified>2026-11-27T10:00:00.000Z"
                f"</LastModified><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{len(content)}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
                for number in range(first, last)
            )
            body = (
                '<?xml version="1.0" encoding="UTF-8"?>'
                '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>archive</Name>'
                f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{more}{page}</ListBucketResult>"
            ).encode()
            self._answer(body, len(body))

        def _answer(self, body: bytes, length: int) -> None:
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", '"x"')
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_ACCESS_KEY_ID": "a",
               "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-west-1"}  # fmt: skip
    finally:
        server.shutdown()
        thread.join()
