"""Ray Data: partitions as blocks, scored by a pool of actors, each with an interpreter of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_nima import __version__
from edge_nima.batch_scorer import BatchScorer
from edge_nima.engines import Done, Job
from edge_nima.errors import EdgeNimaError, OutputError, PackageMissing, RequestError, printable, reason
from edge_nima.lock import claimed
from edge_nima.partitions import Partitions, partition_of, score_partition
from edge_nima.storage import is_uri

if TYPE_CHECKING:
    from edge_nima.listing import Listed
    from edge_nima.photographs import LeftOut

LEAST, MOST = 50, 2000
"""Photographs of a partition: a lost worker costs those of one; each costs the driver some milliseconds."""

PARTITIONS_A_WORKER = 50
"""So that no worker waits long for the last one."""

PARTITIONS = 10_000
"""More only where they would be larger than MOST."""

_ANSWERS_S = 10.0
_CHUNK = 65_536  # rows of a column before it becomes an Arrow array


def score(job: Job, left_out: LeftOut) -> Done:
    """Score with Ray Data; see `edge_nima.engines.Engine`.

    Raises:
        PackageMissing: Ray is not installed.
        RequestError: no cluster answers, it runs other versions, or the output is in use or of another model.
        OutputError: scores cannot be written.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise PackageMissing("--engine ray needs Ray: pip install 'edge-nima[ray]'") from error
    if not is_uri(job.output):
        job = replace(job, output=os.path.abspath(job.output))
    _earlier(job)  # what can be refused without a cluster is refused first
    table = _table(job.photographs, left_out)
    with _cluster(ray, job.address), _claimed(job.output):
        cores = int(ray.cluster_resources().get("CPU", 1))
        workers = max(1, min(cores // job.threads, job.jobs or cores))
        _check_nodes(ray, job.output)
        count = partitions_for(len(table), workers)
        earlier = _earlier(job)  # nobody else writes there from here on
        if earlier is not None:
            earlier.clear(all_of_it=job.overwrite)
        partitions = earlier
        if partitions is None or job.overwrite:
            partitions = Partitions.create(job.output, count, job.model.label, job.model.sha256)
        blocks = _blocks(table, partitions.count)
        return _run(ray, job, partitions, blocks, min(workers, len(blocks)))


def partitions_for(photographs: int, workers: int) -> int:
    """How many partitions so many photographs get on so many workers."""
    wanted = min(-(-photographs // LEAST), workers * PARTITIONS_A_WORKER, PARTITIONS)
    return max(1, -(-photographs // MOST), wanted)


def _earlier(job: Job) -> Partitions | None:
    """What is there of an earlier run: this one goes on with it, or replaces it.

    Raises:
        RequestError: something is there that would be lost, or it is of another model.
    """
    earlier = Partitions.open(job.output)
    if earlier is None or job.overwrite:
        return earlier
    if not job.resume:
        raise RequestError(
            f"'{printable(job.output)}' holds scores: --resume goes on with them, --overwrite replaces them"
        )
    if earlier.model_sha256 != job.model.sha256:
        raise RequestError(
            f"'{printable(job.output)}' holds scores of {earlier.model}, this run is {job.model.label}: "
            "score with that one, or --overwrite"
        )
    return earlier


def _claimed(output: str) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if is_uri(output) else claimed(Path(output), "writing scores")


def _table(photographs: Iterable[Listed], left_out: LeftOut) -> Any:
    """Names, sizes, times, and the CRC of each, as an Arrow table: 10 million of 60 letters take about a gigabyte."""
    import pyarrow as pa

    names, sizes, times, keys = ([] for _ in range(4))  # type: ignore[var-annotated]
    chunks = []
    columns = (("name", pa.large_string()), ("size", pa.int64()), ("mtime_ns", pa.int64()), ("key", pa.uint32()))

    def put() -> None:
        arrays = [
            pa.array(values, kind) for values, (_, kind) in zip((names, sizes, times, keys), columns, strict=True)
        ]
        chunks.append(pa.table(arrays, schema=pa.schema(columns)))
        for values in (names, sizes, times, keys):
            values.clear()

    for one in photographs:
        if not one.name.isprintable() and any("\ud800" <= c <= "\udfff" for c in one.name):
            left_out.kinds["whose name is not UTF-8, which parquet does not hold"] += 1
            continue
        names.append(one.name)
        sizes.append(one.size)
        times.append(one.mtime_ns)
        keys.append(partition_of(one.near or one.name, 1 << 32))
        if len(names) == _CHUNK:
            put()
    put()
    return pa.concat_tables(chunks)


def _blocks(table: Any, count: int) -> list[Any]:
    """A table for each partition that has photographs."""
    import numpy as np
    import pyarrow as pa

    indices = table["key"].to_numpy() % count
    order = np.argsort(indices, kind="stable")
    table = table.drop_columns("key").append_column("partition", pa.array(indices.astype(np.int64))).take(order)
    starts = np.flatnonzero(np.diff(indices[order], prepend=-1))
    return [table.slice(start, end - start) for start, end in zip(starts, [*starts[1:], len(table)], strict=True)]


class _Worker:
    """An actor."""

    def __init__(self, model: list[Any], options: dict[str, Any], partitions: Partitions, folder: str) -> None:
        import ray

        with contextlib.suppress(OSError):  # a node without it can only be given absolute paths
            os.chdir(folder)
        # Inside a list it stays a reference: as an argument its bytes would have to outlive every restart.
        self._scorer = BatchScorer(ray.get(model[0]), **options)
        self._partitions = partitions

    def __call__(self, block: Any) -> dict[str, list[Any]]:
        rows = block.to_pydict()
        parts: dict[int, dict[str, tuple[int | None, int | None]]] = {}
        for index, name, size, mtime_ns in zip(*(rows[one] for one in _COLUMNS), strict=True):
            parts.setdefault(index, {})[name] = size, mtime_ns
        done = [self._scored(index, names) for index, names in parts.items()]
        return {key: [one[key] for one in done] for key in done[0]}

    def _scored(self, index: int, names: dict[str, tuple[int | None, int | None]]) -> dict[str, Any]:
        try:
            return {**score_partition(self._partitions, index, names, self._scorer), "raised": b""}
        except EdgeNimaError as error:  # as a row: what is raised here Ray prints as a page
            return {**dict.fromkeys(_TOTALS, 0), "raised": pickle.dumps(error)}


_TOTALS = ("photographs", "scored", "failed")
_COLUMNS = ("partition", "name", "size", "mtime_ns")


def _run(ray: Any, job: Job, partitions: Partitions, blocks: list[Any], workers: int) -> Done:
    model = ray.put(job.model.detached())
    options = {"threads": job.threads, "max_megapixels": job.max_megapixels, "exact": job.exact}
    most = max(workers, min(job.jobs or workers, len(blocks)))
    work = (blocks, ([model], options, partitions, os.getcwd()), job.threads, workers, most)
    task = None
    try:
        if _is_client(ray):  # which Ray Data does not run in
            task = ray.remote(num_cpus=0)(_execute).remote(*work)
            total = ray.get(task)
        else:
            total = _execute(*work)
    except KeyboardInterrupt:
        if task is not None:
            ray.cancel(task)
        return Done(0, 0, 0, workers, complete=False)
    except Exception as error:
        raise _cause(error) from error
    return Done(**total, workers=workers)


def _execute(blocks: list[Any], arguments: tuple[Any, ...], threads: int, workers: int, most: int) -> dict[str, int]:
    from ray import data

    scored = data.from_arrow(blocks).map_batches(
        _Worker, fn_constructor_args=arguments, batch_size=None, batch_format="pyarrow",
        compute=data.ActorPoolStrategy(min_size=workers, max_size=most), num_cpus=threads,
    )  # fmt: skip
    total = dict.fromkeys(_TOTALS, 0)
    for row in scored.iter_rows():
        if row["raised"]:
            raise pickle.loads(row["raised"])
        for key in total:
            total[key] += row[key]
    return total


def _is_client(ray: Any) -> bool:
    return bool(ray.util.client.ray.is_connected())


def _cause(error: BaseException) -> EdgeNimaError:
    """What went wrong in a worker, out of what Ray wraps around it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, EdgeNimaError):
            return seen
        seen = getattr(seen, "cause", None) or seen.__cause__
    return OutputError(f"Ray gave up: {reason(error)[:500]}; what was scored is kept, --resume goes on")


@contextlib.contextmanager
def _cluster(ray: Any, address: str | None) -> Iterator[None]:
    """Connected to a cluster, or to one of this machine that is started for it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what its C++ tells the terminal of is in its log files
    logging.getLogger("ray").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield  # whoever calls this from Python has connected
        return
    # Without one Ray would join what last ran here, and wait minutes for it where it runs no more.
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_answers(address)
    try:
        how = {"include_dashboard": False} if address == "local" else {}
        client = address.startswith("ray://")  # its progress is the log of a task
        ray.init(address=address, log_to_driver=client, logging_level=logging.ERROR, **how)
    except (RuntimeError, ConnectionError, ValueError, OSError) as error:
        token = "" if os.environ.get("RAY_AUTH_MODE") else " (a cluster that wants a token: RAY_AUTH_MODE=token)"
        raise RequestError(f"cannot join the Ray cluster {printable(address)}: {reason(error)[:400]}{token}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Ask the port, so that a wrong address is told of in seconds."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        raise RequestError(f"--address is '{printable(address)}'; possible: HOST:6379, ray://HOST:10001, auto, local")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_S).close()
    except (OSError, OverflowError) as error:
        raise RequestError(f"no Ray cluster answers at '{printable(address)}': {reason(error)}") from error


def _check_nodes(ray: Any, output: str) -> None:
    """Ask each node of a cluster for edge_nima's version, and whether it sees the folder of the output.

    Raises:
        RequestError: one has another version or none, or does not see it.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if len(nodes) < 2 and not _is_client(ray):
        return  # this very machine
    folder = None if is_uri(output) else os.path.abspath(output)
    asked = [_asking(ray, node["NodeID"], folder) for node in nodes]
    for node, (there, seen) in zip(nodes, ray.get(asked), strict=True):
        name = node["NodeManagerHostname"]
        if there != __version__:
            raise RequestError(
                f"node {name} of the cluster has {f'edge_nima {there}' if there else 'no edge_nima'}, this machine "
                f"{__version__}: install the same on all"
            )
        if not seen:
            raise RequestError(
                f"node {name} of the cluster does not see '{printable(output)}': "
                "give an --output that all nodes share, or a URI"
            )


def _asking(ray: Any, node: str, folder: str | None) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def ask() -> tuple[str | None, bool]:  # nested, so that it travels by value: edge_nima may not be there
        import contextlib
        import os

        version: str | None = None
        with contextlib.suppress(ImportError):
            from edge_nima import __version__ as version
        return version, folder is None or os.path.exists(os.path.join(folder, ".lock"))

    asked: Callable[..., Any] = ray.remote(num_cpus=0)(ask).options(
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
    )
    return asked.remote()  # type: ignore[attr-defined]
