from __future__ import annotations

from pathlib import Path

import pytest

from edge_nima.errors import RequestError
from edge_nima.scorer import load_model
from edge_nima.sustained import sustained
from edge_nima.watch.health import BoardSensors
from test_health import FLAGS, machine, zones


def test_each_interval_has_its_rate_and_the_sensors(tmp_path: Path) -> None:
    root = machine(tmp_path, {**zones(cpu_thermal="81000"), FLAGS: "4"})
    intervals = list(sustained(load_model(), 1, 0.5, 0.2, sensors=BoardSensors(root=root)))
    assert len(intervals) == 3
    assert intervals[-1]["at_s"] >= 0.5
    for one in intervals:
        assert one["score_ms"]["n"] == one["invoke_ms"]["n"] > 0
        assert one["per_second"] > 0
        assert (one["temperature_c"], one["throttled"]) == (81, True)


def test_a_machine_without_sensors(tmp_path: Path) -> None:
    (only,) = sustained(load_model(), 1, 0.01, sensors=BoardSensors(root=tmp_path))
    assert (only["temperature_c"], only["throttled"]) == (None, None)


@pytest.mark.parametrize(("seconds", "every_s"), [(0, 60), (60, 0), (float("nan"), 60)])
def test_no_time(seconds: float, every_s: float) -> None:
    with pytest.raises(RequestError, match="above 0"):
        next(sustained(load_model(), 1, seconds, every_s))
