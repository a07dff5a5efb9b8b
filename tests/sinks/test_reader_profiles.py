"""Readers with any settings profile see what a plain reader sees, or an error that says why; never fewer rows."""

from collections.abc import Iterator, Sequence

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from pintally.schemas.cells import ArmMemberRows, ExperimentRows
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing.arm_days import seal_arm_users
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.users import seal_users
from pintally.sinks.clickhouse.sink import ClickHouseSink
from tests.sinks.sealed_cuts import seal_all
from tests.sinks.sealing import HOUR, TODAY, YESTERDAY, some_cells, write
from tests.sinks.test_seal_users import members
from tests.support.own_clickhouse import clickhouse_with
from tests.support.profiles import OF_THE_READER, ONE_SETTING, PROFILES

pytestmark = pytest.mark.engines

VIEWS = ("pin_engagement_1m", "pin_engagement_1h", "pin_engagement_1d", "pin_breakdown_1h", "pin_breakdown_1d")
QUERIES = (
    "SELECT * FROM {} ORDER BY ALL",
    "SELECT count(), uniqExact(pin_id), countIf(is_final) FROM {}",
    "SELECT pin_id, sum(saves), sum(clicks), sum(closeups) FROM {} GROUP BY pin_id ORDER BY pin_id",
)
USERS = ("pin_users_1h", "pin_users_1d", "pin_surface_users_1h", "pin_surface_users_1d", "flagged_users_1h")
TOP = "SELECT * FROM pin_top_24h ORDER BY place"  # its text is that of the other windows
# Of features: one row a pin, and what no row is of.
FEATURES = ("pin_features_latest", "pin_features(as_of = now('UTC'))")
OF_FEATURES = (
    *(f"SELECT * FROM {view} ORDER BY pin_id" for view in FEATURES),
    *(
        f"SELECT count(), sum(saves_7d), sum(clicks_24h), sum(closeups_decayed_6h) FROM {view} HAVING count() > 0"
        for view in FEATURES
    ),
    "SELECT data, known_until, open_windows, corrected_windows, status FROM data_status ORDER BY data",
)
# Of arms; the second one is for who may read members.
OF_HOURS = f"(experiment = 'checkout', since = {YESTERDAY}, until = {TODAY})"
OF_ARMS = (
    f"SELECT * FROM experiment_results{OF_HOURS} ORDER BY metric, arm",
    f"SELECT count(), sum(value), max(sample_ratio_alarm) FROM experiment_results{OF_HOURS}",
    f"SELECT * FROM experiment_users{OF_HOURS} ORDER BY arm",
    f"SELECT sum(users), sum(in_several_arms), sum(events) FROM experiment_users{OF_HOURS}",
)
DATABASE = "readers"
ARMS_OF = (("control",), ("treatment",), ("control", "treatment"))
# Errors of ClickHouse's own that do not name the setting. The old analyzer has two for features, before it sees ours.
OLD_ANALYZER = ["allow_experimental_analyzer", "is not a constant expression", "Substitution `as_of` is not set"]
SAID = {
    "enable_global_with_statement": ["identifier `state`", "identifier `of`", "identifier `seals`"],
    "force_primary_key": ["Primary key"],
    "inject_random_order_for_select_without_order_by": ["Number of aliases does not match"],
    **{name: OLD_ANALYZER for name in PROFILES if name.startswith(("compatibility", "allow_experimental", "old_"))},
    "compatibility_20_3": [*OLD_ANALYZER, "Missing columns"],
}
# A row policy is an administrator's word on what this reader may see.
ROW_POLICIES = {name for name, profile in PROFILES.items() if profile.only_rows}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseAddress]:
    with clickhouse_with(tmp_path_factory.mktemp("clickhouse"), PROFILES, DATABASE) as made:
        yield made


@pytest.fixture(scope="module")
def address(server: ClickHouseAddress) -> ClickHouseAddress:
    """Some hours sealed, some open again, some rows deleted."""
    _fill(server, sealed=True)
    return server


@pytest.fixture(scope="module")
def unsealed(server: ClickHouseAddress) -> ClickHouseAddress:
    other = server.model_copy(update={"database": "unsealed"})
    _fill(other, sealed=False)
    return other


def _fill(made: ClickHouseAddress, *, sealed: bool) -> None:
    migrate(made)
    write(made, some_cells())
    write(made, some_cells(20, count=4, slice_block=1))
    _write_arms(made)
    if sealed:
        _write_members(made)
        seal(made, TODAY)
        _seal_users(made)
        assert seal_arm_users(made, 1) != ()
        seal_cuts(made, TODAY - HOUR, HOUR)
        write(made, some_cells(30, count=5, slice_block=1))  # opens hours again
        seal(made, TODAY - 20 * HOUR)
        seal_all(made, TODAY + 10 * 60)
    with Connection(made, 30) as connection:
        connection.execute("DELETE FROM arm_members WHERE user_hash = 3")
        connection.execute("DELETE FROM experiment_cells WHERE bucket = 3")
        connection.execute("DELETE FROM pin_minutes WHERE pin_id = 9")
        connection.execute("DELETE FROM pin_minutes WHERE action = 3 AND slice_block = 1")
        if sealed:
            connection.execute("DELETE FROM pin_hours_by_pin WHERE pin_id = 8")
            connection.execute("DELETE FROM pin_tiles WHERE pin_id = 8")


def _write_members(made: ClickHouseAddress) -> None:
    """Users of two pins."""
    places = [(hour, pin, surface) for hour in (5, 6) for pin in (8, 9) for surface in ("home", "search")]
    seen = [(hour, 1, pin, surface, user) for hour, pin, surface in places for user in range(3)]
    with ClickHouseSink(made).session() as session:
        session.write_cells(members([*seen, (5, 2, 8, "home", 1)]))


def _write_arms(made: ClickHouseAddress) -> None:
    """Users of an experiment in several hours, and of another one; some were in both arms."""
    acts = [(hour, user, arm) for hour in (3, 21) for user in range(9) for arm in ARMS_OF[user % 3]]
    rows = [
        (1, 7, YESTERDAY, 9, action, YESTERDAY + hour * HOUR, "checkout", arm, user)
        for hour, user, arm in acts
        for action in (1, 3)
    ]
    rows += [(1, 7, YESTERDAY, 9, 1, YESTERDAY, "feed", "a", user) for user in range(5)]
    cells = [(*row, 4, 3) for row in rows]
    seen = [(*row[:8], 77, row[8], 4) for row in rows]
    with ClickHouseSink(made).session() as session:
        session.write_cells(ExperimentRows.of(zip(*cells, strict=True)), ArmMemberRows.of(zip(*seen, strict=True)))
        session.write_cells(ArmMemberRows.of(zip(*((*row[:10], 5) for row in seen[:4]), strict=True)))


def _seal_users(made: ClickHouseAddress) -> None:
    """One of the pins is deleted again, of the other not every group is shown."""
    seal_users(made, 2, 1)
    with Connection(made, 30) as connection:
        for table in ("pin_hour_users", "pin_day_users"):
            connection.execute(f"DELETE FROM {table} WHERE pin_id = 9")


Answers = dict[str, list[tuple[object, ...]] | str]


def comparable(value: object) -> object:
    """The value, or a word for a number that equals nothing."""
    return "NaN" if value != value else value


def ask(address: ClickHouseAddress, user: str, queries: Sequence[str]) -> Answers:
    """The rows, or what the error says, of each query."""
    answers: Answers = {}
    with Client(address.host, address.port, address.database, user) as client:
        for sql in queries:
            try:
                answers[sql] = [tuple(map(comparable, row)) for row in client.execute(sql)]
            except ServerException as error:
                answers[sql] = error.message
    return answers


@pytest.fixture(scope="module")
def expected(address: ClickHouseAddress) -> Answers:
    found = plain(address)
    assert all(found.values())
    return found


def plain(address: ClickHouseAddress) -> Answers:
    counts = [query.format(view) for query in QUERIES for view in VIEWS]
    users = [QUERIES[0].format(view) for view in USERS]
    return ask(address, "default", [TOP, *counts, *users, *OF_ARMS, *OF_FEATURES])


def test_the_views_have_rows(expected: Answers) -> None:
    assert all(len(rows) > 0 for rows in expected.values())


@pytest.mark.parametrize("name", [name for name in PROFILES if name not in OF_THE_READER and name not in ROW_POLICIES])
def test_a_reader_sees_the_same_or_is_told_why_not(address: ClickHouseAddress, expected: Answers, name: str) -> None:
    assert_same(address, expected, name)


def test_so_it_is_before_anything_is_sealed(unsealed: ClickHouseAddress) -> None:
    expected = plain(unsealed)
    for name in (*ONE_SETTING.keys() - OF_THE_READER.keys(), "old_analyzer_and_nulls"):
        assert_same(unsealed, expected, name)


def assert_same(address: ClickHouseAddress, expected: Answers, name: str) -> None:
    for sql, seen in ask(address, name, list(expected)).items():
        assert isinstance(expected[sql], list)
        if isinstance(seen, str):
            assert any(word in seen for word in (*PROFILES[name].settings, *SAID.get(name, ()))), seen
        else:
            assert seen == expected[sql], sql


@pytest.mark.parametrize("name", OF_THE_READER)
def test_what_a_reader_cuts_off_himself_leaves_a_part_of_the_same_rows(
    address: ClickHouseAddress, expected: Answers, name: str
) -> None:
    sql = QUERIES[0].format(VIEWS[0])
    rows = expected[sql]
    seen = ask(address, name, [sql])[sql]
    assert seen[: len(rows)] == {"limit": rows[:1], "offset": rows[1:], "extremes": rows}[name]
