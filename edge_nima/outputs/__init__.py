"""Who is told: one file a kind (MQTT with Home Assistant, Prometheus, commands and webhooks, the page).

A kind is a module or package in here with two names: `SETTINGS`, a `Section` of settings that declares its options, and
`open_output(settings, context)`, which gives its `Listener`, or None when the settings do not ask for it. What it needs
is imported when it is opened. The service finds it by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol, cast

from edge_nima.watch.events import Listener, Status
from edge_nima.watch.gallery import Gallery
from edge_nima.watch.settings import Section


@dataclass(frozen=True)
class Context:
    """What a service tells an output when it opens it."""

    cameras: Mapping[str, float | None]
    """Label: the longest usual time between two scores, seconds; None where silence is normal (a folder that fills)."""
    statuses: Callable[[], Sequence[Status]]
    """The status of each camera now, in the order of `cameras`. From any thread."""
    gallery: Gallery | None = None
    """The kept photographs of all cameras."""
    recent: Callable[[str], Sequence[tuple[float, float]]] = lambda camera: ()
    """A camera's scores of the last hour: pairs of wall-clock time and mean, oldest first."""


class Kind(Protocol):
    """A module of this package that is a kind of output."""

    SETTINGS: type[Section]

    def open_output(self, settings: Any, context: Context) -> Listener | None:
        """Open it. Raises EdgeNimaError: it cannot be, with what to type.

        A service on the network that is away or refuses is no error: it is tried again; `Listener.problem` says so.
        """


def kinds() -> list[Kind]:
    """Every kind of output, in the order of their names."""
    found = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    return [cast("Kind", module) for module in found if hasattr(module, "SETTINGS")]
