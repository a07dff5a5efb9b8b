"""Who may only read the views asks all that `pintally.features` asks, with TLS and a login, and nothing else."""

from datetime import UTC, datetime

import pytest

from pintally.features import FeatureReader, SinkError
from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.arm_users import ArmUsers, Users, read_users
from pintally.sinks.reads.experiments import read_results
from pintally.streams.settings import Settings
from tests.features.kinds import rows
from tests.sinks.known import FIRST, TEN, Fact, fill
from tests.sinks.sealing import DAY, HOUR, TODAY
from tests.sinks.test_arm_days import sealed, write
from tests.support.secured import ADMIN, NOBODY, READER, SECRET, Secured

CUT = FIRST + 30 * HOUR
FACTS = [Fact(CUT - TEN * (1 + i), CUT - TEN * (1 + i), 7 + i % 3, Action.SAVE, 1 + i) for i in range(60)]


@pytest.fixture(scope="module")
def reading(secured: Secured) -> Settings:
    """Settings of the reader's user, with something to read."""
    fill(secured.settings(clickhouse_user=ADMIN).clickhouse, FACTS, CUT - 30 * TEN, CUT)
    return secured.settings(clickhouse_user=READER)


def test_the_reader_asks_all_that_there_is_to_ask(reading: Settings) -> None:
    with FeatureReader(reading.clickhouse) as reader:
        assert rows(reader.get_online_features([7]))[0]["saves_24h"] > 0
        assert len(reader.top("24h")) == 3
        assert len(reader.counts(start=datetime.fromtimestamp(FIRST, UTC), end=datetime.fromtimestamp(CUT, UTC))) == 0


def test_the_reader_is_told_that_users_of_arms_are_for_others(reading: Settings) -> None:
    with Connection(reading.clickhouse, only_reads=True) as connection:
        found = read_users(connection, "checkout", FIRST, CUT, [], 1)
    assert found.arms == ()
    assert "may read the table arm_members" in found.unknown


def test_the_reader_sees_the_users_of_arms_of_sealed_days(reading: Settings, secured: Secured) -> None:
    admin = secured.settings(clickhouse_user=ADMIN).clickhouse
    write(admin, [(0, 23, arm, user) for arm in ("control", "treatment") for user in range(30)])
    assert sealed(admin, least=20) == (0,)
    with Connection(reading.clickhouse, only_reads=True) as connection:
        results = read_results(connection, "checkout", TODAY - DAY, TODAY)
        found = read_users(connection, "checkout", TODAY - DAY, TODAY, results, 20)
    assert found == Users((ArmUsers("control", 30, 30), ArmUsers("treatment", 30, 30, 1.0)))


def test_a_user_without_these_rights_is_told_which_one_is_missing(reading: Settings) -> None:
    with FeatureReader(reading.changed(clickhouse_user=NOBODY).clickhouse) as reader:
        with pytest.raises(SinkError, match=f"does not let user '{NOBODY}' do this") as refused:
            reader.top()
        assert "GRANT SELECT" in refused.value.remedy
        assert SECRET not in str(refused.value)
