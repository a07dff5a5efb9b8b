"""Servers that are too old are refused by name."""

import pytest

from pintally.sinks.clickhouse.server_version import LOWEST, ClickHouseTooOld, refuse_old


@pytest.mark.parametrize("version", [(21, 3, 1), (24, 8, 4), (25, 7, 9)])
def test_an_old_server_is_named_with_its_version_and_the_one_needed(version: tuple[int, int, int]) -> None:
    with pytest.raises(ClickHouseTooOld) as refused:
        refuse_old("clickhouse:9000/pintally", version)
    assert f"clickhouse:9000/pintally has version {version[0]}.{version[1]}.{version[2]}" in refused.value.what
    assert "older than 25.8" in refused.value.what
    assert refused.value.remedy.startswith("Upgrade it to 25.8 or newer")


@pytest.mark.parametrize("version", [(*LOWEST, 0), (25, 10, 1), (26, 7, 2), (30, 1, 1)])
def test_a_server_that_is_new_enough_is_taken(version: tuple[int, int, int]) -> None:
    refuse_old("clickhouse:9000/pintally", version)
