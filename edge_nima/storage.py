"""Bytes of photographs that are not files: objects in a store (s3://, gs://, abfs://, hf://), rows of parquet files.

pyarrow reads S3, Google Cloud Storage and Azure, fsspec everything else. Rows have names, as members of tar files do:
`shard.parquet/image/17` is row 17, from 0, of the column "image", binary or a struct with a binary field "bytes".
"""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any, Self

from edge_nima.errors import PackageMissing, RequestError, printable, reason

MAX_BYTES = 1 << 30
"""Larger objects are refused: 128 megapixels in 16 bits are 768 MB."""

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/]*)/?(.*)", re.DOTALL)
_ARROW = ("s3", "gs", "gcs", "abfs", "abfss")
"""Schemes that pyarrow reads."""

_ROW = re.compile(r"(.+\.parquet)/([^/]+)/(\d+)", re.DOTALL | re.IGNORECASE)
_REQUEST_TIMEOUT_S, _CONNECT_TIMEOUT_S = 30.0, 10.0  # the AWS SDK's own 3 and 1 are a datacentre's
_LOADING = threading.Lock()  # so that threads that begin together do not all load the same row group


class StoredPath(str):
    """The name of an object or a row, with its size in bytes and its modification time in nanoseconds, where known."""

    __slots__ = ("mtime_ns", "size")

    size: int | None
    mtime_ns: int | None

    def __new__(cls, name: str, size: int | None = None, mtime_ns: int | None = None) -> Self:
        """Take a URI or the name of a row."""
        path = super().__new__(cls, name)
        path.size, path.mtime_ns = size, mtime_ns
        return path


def is_uri(path: str | os.PathLike[str]) -> bool:
    """Whether a path has a scheme: s3://bucket/key, but not C:/folder."""
    return isinstance(path, str) and _URI.match(path) is not None


def is_stored(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URI, or goes through a parquet file to a row."""
    return is_uri(path) or is_row(path)


def is_row(path: str | os.PathLike[str]) -> bool:
    """Whether a path goes through a parquet file, which is there where it is local, to a row."""
    row = _ROW.fullmatch(os.fspath(path))
    return row is not None and (is_uri(row[1]) or os.path.isfile(row[1]))


def read_stored(name: str | os.PathLike[str]) -> bytes:
    """The bytes of an object or of a row.

    Raises:
        OSError: there is none, it cannot be read, or it is larger than MAX_BYTES; with the reason on one line.
        PackageMissing: what reads such a store is not installed.
    """
    row = _ROW.fullmatch(os.fspath(name))
    if row is not None:
        return _read_row(row[1], row[2], int(row[3]))
    with open_stored(name) as file:
        content: bytes = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(f"larger than {MAX_BYTES >> 20} MiB")
    return content


class Fetched(bytes):
    """An object's bytes with its name; or no bytes, and why there are none."""

    name: str
    error: str | None = None


def fetch(name: str) -> Fetched:
    """An object's bytes, or the reason why there are none."""
    try:
        fetched = Fetched(read_stored(name))
    except (OSError, RequestError) as error:
        fetched = Fetched()
        fetched.error = f"cannot be read: {reason(error)}"
    fetched.name = name
    return fetched


def fetched_ahead(pictures: Iterable[Any], readers: int) -> Iterator[Any]:
    """Pictures in their order: in place of each URI what `fetch` gives, fetched by threads before it is asked for.

    Args:
        pictures: read lazily.
        readers: threads; up to half as many more objects are in memory.
    """
    waiting: deque[Any] = deque()
    pool: Any = None

    def first() -> Any:
        picture = waiting.popleft()
        return picture.result() if pool is not None and isinstance(picture, Future) else picture

    try:
        for picture in pictures:
            if is_uri(picture):
                from concurrent.futures import Future, ThreadPoolExecutor  # logging and more, which files do without

                pool = pool or ThreadPoolExecutor(readers, thread_name_prefix="edge-nima-fetch")
                waiting.append(pool.submit(fetch, picture))
            else:
                waiting.append(picture)
            while waiting and (pool is None or len(waiting) > readers + readers // 2):
                yield first()
        while waiting:
            yield first()
    finally:
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


def open_stored(name: str | os.PathLike[str]) -> Any:
    """A local file or an object, open for reading: pyarrow's NativeFile.

    Raises:
        OSError: there is none, or it cannot be read; with the reason on one line.
        PackageMissing: what reads such a store is not installed.
    """
    filesystem, path = filesystem_of(name)
    try:
        return _Plain(filesystem.open_input_file(path))
    except (OSError, ValueError) as error:
        raise plain(error) from error


class _Plain:
    """A file whose errors are on one line."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int) -> bytes:
        try:
            content: bytes = self._file.read(size)
            return content
        except OSError as error:
            raise plain(error) from error


def filesystem_of(name: str | os.PathLike[str]) -> tuple[Any, str]:
    """A pyarrow file system and a path in it.

    Raises:
        PackageMissing: what reads such a store is not installed.
        RequestError: no such scheme.
    """
    text = os.fspath(name)
    found = _URI.fullmatch(text)
    if found is None:
        return _local(), text
    scheme, authority, key = found[1].lower(), found[2], found[3]
    if scheme == "file":
        return _local(), f"/{key}"
    # Keys go in as they are: as part of a URI a "%20", "#" or "?" in them would be another key.
    if scheme in _ARROW:
        bucket = authority.rpartition("@")[0 if scheme.startswith("abfs") else 2] or authority
        return _arrow(scheme, authority), f"{bucket}/{key}"
    filesystem = _fsspec(scheme)
    return _wrapped(scheme), filesystem._strip_protocol(text)


@cache
def _local() -> Any:
    return _pyarrow().LocalFileSystem()


def _pyarrow() -> Any:
    try:
        from pyarrow import fs
    except ImportError as error:
        raise PackageMissing("object stores and parquet need pyarrow: pip install 'edge-nima[storage]'") from error
    return fs


@cache
def _arrow(scheme: str, authority: str) -> Any:
    fs = _pyarrow()
    if scheme != "s3":
        return fs.FileSystem.from_uri(f"{scheme}://{authority}/")[0]
    where: dict[str, Any] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:  # boto3 takes these variables, pyarrow does not
        protocol, _, host = endpoint.rpartition("://")
        where = {"scheme": protocol or "https", "endpoint_override": host.rstrip("/")}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    bucket = authority.rpartition("@")[2]
    try:
        return fs.S3FileSystem(
            anonymous=authority.startswith("anonymous@"), region=region or _region(fs, bucket, endpoint),
            request_timeout=_REQUEST_TIMEOUT_S, connect_timeout=_CONNECT_TIMEOUT_S, **where,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise plain(error) from error


def _region(fs: Any, bucket: str, endpoint: str | None) -> str:
    return "us-east-1" if endpoint else str(fs.resolve_s3_region(bucket))


@cache
def _fsspec(scheme: str) -> Any:
    if find_spec("fsspec") is None:
        raise PackageMissing(f"{scheme}:// needs fsspec: pip install 'edge-nima[storage]'")
    import fsspec

    try:
        return fsspec.filesystem(scheme)
    except ValueError as error:
        raise RequestError(
            f"no such kind of address: '{scheme}://'; possible: s3, gs, abfs, hf and what fsspec knows"
        ) from error
    except ImportError as error:
        raise PackageMissing(f"{scheme}:// needs a package of its own: {reason(error)}") from error


@cache
def _wrapped(scheme: str) -> Any:
    fs = _pyarrow()
    return fs.PyFileSystem(fs.FSSpecHandler(_fsspec(scheme)))


def plain(error: Exception) -> OSError:
    """An error of a store, on one line, without what only its SDK understands."""
    text = reason(error)
    for mark, meaning in _MEANINGS:
        if re.search(mark, text):
            return OSError(meaning)
    if isinstance(error, FileNotFoundError):
        return OSError("no such object")
    status = re.search(r"HTTP status (\d+)", text)
    if status:
        return OSError(f"the store answered with {status[1]}")
    text = re.sub(r"\s*\(Request ID:[^)]*\)|^When .*?: (?=AWS Error)", "", text)
    return OSError(text.strip())


_MEANINGS = (
    ("NO_SUCH_BUCKET|NoSuchBucket", "no such bucket"),
    ("ACCESS_DENIED|AccessDenied|HTTP status 403|\\b403\\b|Forbidden", "no permission (403)"),
    ("INVALID_ACCESS_KEY|InvalidAccessKeyId|SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch|InvalidClientTokenId",
     "the store refuses these credentials"),
    ("NoCredentialsError|Unable to locate credentials", "no credentials: set AWS_ACCESS_KEY_ID or AWS_PROFILE"),
    ("Could not connect|Could not resolve|Could not connect to the endpoint", "the store cannot be reached"),
    ("curlCode: 28|Operation too slow|[Tt]imed out|[Tt]imeout", "the store did not answer in time"),
    ("partial file|end of response with", "the answer ended before the object did"),
)  # fmt: skip


def list_objects(uri: str) -> Iterator[tuple[str, int | None, int | None]]:
    """Key after key beneath a URI: its URI, size in bytes and modification time in nanoseconds, None where unknown.

    S3 is listed page by page, in constant memory; of other stores the list is held, some 500 bytes a name.

    Raises:
        RequestError: it cannot be listed.
        PackageMissing: what lists such a store is not installed.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise ValueError(uri)
    scheme = found[1].lower()
    try:
        if scheme == "s3":
            yield from _list_s3(found[2], found[3])
            return
        filesystem, path = filesystem_of(uri)
        if scheme in _ARROW:
            listed = filesystem.get_file_info(_pyarrow().FileSelector(path.rstrip("/"), recursive=True))
            objects = [
                (f"{scheme}://{found[2]}/{one.path.partition('/')[2]}", one.size, one.mtime_ns)
                for one in listed
                if one.is_file
            ]
        else:  # without asking whether the folder is there, which some of these stores do not know
            there = _fsspec(scheme).find(path, detail=True)
            objects = [
                (name if is_uri(name) else f"{scheme}://{name}", about.get("size"), None)
                for name, about in there.items()
            ]
        yield from sorted(objects)
    except (OSError, ValueError) as error:
        if isinstance(error, RequestError | PackageMissing):
            raise
        raise RequestError(f"cannot list '{printable(uri)}': {plain(error)}") from error


def _list_s3(authority: str, prefix: str) -> Iterator[tuple[str, int, int]]:
    try:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import get_session
    except ImportError as error:
        raise PackageMissing("listing s3:// needs boto3: pip install 'edge-nima[storage]'") from error
    bucket = authority.rpartition("@")[2]
    config = Config(
        signature_version=UNSIGNED if authority.startswith("anonymous@") else None,
        retries={"mode": "standard"}, connect_timeout=_CONNECT_TIMEOUT_S, read_timeout=_REQUEST_TIMEOUT_S,
    )  # fmt: skip
    try:
        session = get_session()
        # Its own reader of times takes two thirds of what a listing costs.
        parsers = session.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=datetime.fromisoformat)
        client = boto3.Session(botocore_session=session).client("s3", config=config)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for one in page.get("Contents", ()):
                yield f"s3://{authority}/{one['Key']}", one["Size"], round(one["LastModified"].timestamp() * 1e9)
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"{type(error).__name__}: {reason(error)}") from error


def is_object(uri: str) -> bool:
    """Whether there is an object of this very name.

    Raises:
        RequestError: the store cannot be asked.
    """
    filesystem, path = filesystem_of(uri)
    try:
        return bool(filesystem.get_file_info(path).is_file)
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot open '{printable(uri)}': {plain(error)}") from error


def open_parquet(name: str | os.PathLike[str]) -> Any:
    """A parquet file, local or in a store, with its footer read: pyarrow's ParquetFile.

    Raises:
        OSError: there is none, or it is damaged.
        PackageMissing: pyarrow is not installed.
    """
    filesystem, path = filesystem_of(name)
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(filesystem.open_input_file(path), pre_buffer=True)
    except ArrowInvalid as error:
        raise OSError(f"no parquet file, or damaged: {reason(error)}") from error
    except (OSError, ValueError) as error:
        raise plain(error) from error


@lru_cache(maxsize=4)
def _parquet(name: str) -> tuple[Any, list[int]]:
    file = open_parquet(name)
    ends, total = [], 0
    for group in range(file.metadata.num_row_groups):
        total += file.metadata.row_group(group).num_rows
        ends.append(total)
    return file, ends


@lru_cache(maxsize=2)
def _row_group(name: str, column: str, group: int) -> Any:
    return _parquet(name)[0].read_row_group(group, columns=[column]).column(0)


def _read_row(name: str, column: str, row: int) -> bytes:
    from bisect import bisect_right

    with _LOADING:
        ends = _parquet(name)[1]
        if not ends or row >= ends[-1]:
            raise OSError(f"the file has {ends[-1] if ends else 0} rows")
        group = bisect_right(ends, row)
        try:
            values = _row_group(name, column, group)
        except Exception as error:  # pyarrow's decoders raise many kinds on damaged files
            raise OSError(f"no column '{column}', or damaged: {reason(error)}") from error
    value = values[row - (ends[group - 1] if group else 0)].as_py()
    if isinstance(value, dict):
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise OSError("the row holds no bytes")
    return value
