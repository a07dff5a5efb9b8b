"""Who asks `pintally.features` with any settings profile gets the same answers, or an error that names the setting."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from pintally.features import ClickHouseAddress, FeatureReader, SinkError, SinkUnavailable
from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.migrate import migrate
from tests.features.kinds import rows
from tests.sinks.known import FIRST, TEN, Fact, fill, published_at
from tests.sinks.sealing import HOUR, TODAY, some_cells, write
from tests.support.own_clickhouse import clickhouse_with
from tests.support.profiles import PROFILES

pytestmark = pytest.mark.engines

CUT = FIRST + 30 * HOUR
FACTS = [
    Fact(CUT - TEN * (1 + i), CUT - TEN * (1 + i + i % 2), 7 + i % 3, list(Action)[i % 2 * 2], i + 1) for i in range(60)
]
EXAMPLES = pd.DataFrame({"pin_id": [7, 8], "event_timestamp": [published_at(CUT - TEN), published_at(CUT - 9 * TEN)]})
# Of each kind one or two: tests/sinks/test_reader_profiles.py asks the views under all of them.
REFUSED = ("read_overflow_mode_fixed", "nulls_fixed", "readonly_1_and_nulls", "readonly_1_and_break", "only_some_cells")
ALLOWED = (
    "timeout_overflow_mode", "set_overflow_mode", "aggregate_functions_null_for_empty", "join_use_nulls",
    "transform_null_in", "union_default_mode", "prefer_column_name_to_alias", "session_timezone", "final",
    "apply_deleted_mask", "additional_table_filters", "allow_experimental_analyzer", "max_block_size", "limit",
    "extremes", "small_limits_fixed", "readonly_1", "readonly_2",
)  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseAddress]:
    with clickhouse_with(tmp_path_factory.mktemp("clickhouse"), PROFILES, "profiles") as made:
        migrate(made)
        write(made, some_cells())
        fill(made, FACTS, CUT - 12 * TEN, CUT)
        yield made


def utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def answers(address: ClickHouseAddress, user: str) -> list[list[dict[str, Any]]]:
    """What the user is told to one question of each kind."""
    with FeatureReader(address.model_copy(update={"user": user})) as reader:
        return [
            rows(reader.get_online_features([7, 8, 10])),
            rows(reader.get_historical_features(EXAMPLES)),
            rows(reader.top("24h", as_of=published_at(CUT - TEN))),
            rows(
                reader.counts(start=datetime.fromtimestamp(FIRST, UTC), end=datetime.fromtimestamp(TODAY + HOUR, UTC))
            ),
        ]


@pytest.fixture(scope="module")
def expected(address: ClickHouseAddress) -> list[list[dict[str, Any]]]:
    found = answers(address, "default")
    assert all(found)
    return found


@pytest.mark.parametrize("name", ALLOWED)
def test_the_answers_are_the_same_where_a_setting_may_be_set_back(
    address: ClickHouseAddress, expected: list[list[dict[str, Any]]], name: str
) -> None:
    assert answers(address, name) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_make_an_answer_wrong_is_named(address: ClickHouseAddress, name: str) -> None:
    with pytest.raises(SinkError) as refused:
        answers(address, name)
    assert not isinstance(refused.value, SinkUnavailable)
    assert any(word in str(refused.value) for word in (*PROFILES[name].settings, *PROFILES[name].only_rows))
    assert refused.value.remedy
