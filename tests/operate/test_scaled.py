"""The rules with shorter times: every time is divided, and nothing else."""

from pathlib import Path

import pytest
import yaml

from tests.operate.scaled import scaled_duration, scaled_expression, scaled_rules
from tests.support.alerts import read_groups
from tests.support.programs import promtool


@pytest.mark.parametrize(
    ("expression", "scaled"),
    [
        ("rate(a[5m]) > 0.02", "rate(a[10000ms]) > 0.02"),
        ("a offset 5m > 300", "a offset 10000ms > 10"),
        ("a > 14.4 * 0.01", "a > 14.4 * 0.01"),
        ("time() - max(a) > 36 * 3600", "time() - max(a) > 36 * 120"),
        ('a{le="5.0",n="600"} > 1', 'a{le="10.0",n="600"} > 1'),
        ("x:rate10m == 0 and changes(b[1h]) > 3", "x:rate10m == 0 and changes(b[120000ms]) > 3"),
    ],
)
def test_windows_offsets_and_seconds_are_divided_and_the_objective_is_its_double(expression: str, scaled: str) -> None:
    assert scaled_expression(expression, 30) == scaled


def test_a_duration_is_in_whole_milliseconds() -> None:
    assert [scaled_duration(each, 7) for each in ("0m", "1m", "3d")] == ["0ms", "8571ms", "37028571ms"]


def test_the_scaled_rules_are_rules_and_have_every_alert(tmp_path: Path) -> None:
    file = tmp_path / "scaled.yml"
    scaled = scaled_rules(30)
    file.write_text(yaml.safe_dump(scaled))
    code, said = promtool("check", "rules", file)
    assert code == 0, said
    for group, real in zip(scaled["groups"], read_groups(), strict=True):
        assert [rule.get("alert") for rule in group["rules"]] == [rule.get("alert") for rule in real["rules"]]
        assert (group == real) == (group["name"] == "pintally-sealing")
