"""Work on several things at once, its results in the order of the things."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def in_order(work: Callable[[Thing], Result], things: Iterable[Thing], jobs: int) -> Generator[Result, None, None]:
    """What `work` makes of each thing, by `jobs` threads, each as soon as it and those before it are done.

    Threads, not processes: decoding, hashing, reading and inference release the GIL, memory is shared, and Ctrl-C
    reaches one process.
    `things` is read lazily, a few ahead. Closing the generator waits for what is being worked on and drops the rest.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="edge-nima")
    try:
        for thing in things:
            pending.append(pool.submit(work, thing))
            if len(pending) > 4 * jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
