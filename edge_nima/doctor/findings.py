"""What doctor says: one finding a line, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How good a finding is."""

    ok = "ok"
    warning = "warning"
    """It works, and could be better, or part of it could not be looked at."""
    problem = "problem"
    """Scoring or watching will not work until it is mended."""


@dataclass(frozen=True)
class Finding:
    """One line."""

    section: str
    """machine, software, model, camera or state."""
    name: str
    level: Level
    text: str
    fix: str | None = None
    """What to do, or to type; None where nothing needs doing."""


@dataclass(frozen=True)
class Report:
    """Everything that was found, and what to type next."""

    findings: tuple[Finding, ...]
    after: str
    """What to type when there is no problem: the first thing to watch."""

    @property
    def problems(self) -> list[Finding]:
        """The findings that keep it from working."""
        return [finding for finding in self.findings if finding.level is Level.problem]

    @property
    def next(self) -> str:
        """What to type next: the first problem's fix, else the first thing to watch."""
        return next((finding.fix for finding in self.problems if finding.fix), self.after)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "problems": len(self.problems),
            "warnings": sum(finding.level is Level.warning for finding in self.findings),
            "next": self.next,
        }
