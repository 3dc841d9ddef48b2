"""The newest of something, for readers of different speed."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds one value, the newest: whoever comes late has missed those before and nothing piles up for it.

    For one event loop.
    """

    def __init__(self) -> None:
        self.number = 0
        """Of the value; 0 while there is none."""
        self.value: T | None = None
        self._changed = asyncio.Event()

    def put(self, value: T) -> None:
        """Replace it and wake those who wait."""
        self.number += 1
        self.value = value
        self.wake()

    def wake(self) -> None:
        """Wake those who wait, without anything new."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, number: int, seconds: float) -> bool:
        """Wait until there is a newer one than `number`, or somebody woke us; False when there is still none."""
        if self.number <= number:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return self.number > number
