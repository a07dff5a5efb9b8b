"""A worker whose ClickHouse user lacks any one of its rights names that one, and the statement that grants it."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from pintally.schemas.errors import FOR_A_PERSON
from pintally.sinks.clickhouse.users import users
from pintally.streams.kafka.topics import create_topics
from tests.security.forked import Commands, Done
from tests.support.secured import DATABASE, SECRET, Secured, lacks

WORKER, _ = users(DATABASE)


@pytest.fixture(scope="module")
def started(secured: Secured, run: Commands) -> Iterator[dict[str, "Future[Done]"]]:
    """A worker without each of its rights, all at once."""
    settings = secured.settings(topic_prefix="lacking.", kafka_group_id="lacking")
    create_topics(*settings.sources)
    futures = {}
    for grant in WORKER.grants:
        environment = settings.changed(clickhouse_user=lacks(grant)).environment()
        ours = {name: value for name, value in environment.items() if name.startswith("PINTALLY_")}
        futures[grant] = run.start(["worker"], ours, 240.0)
    yield futures
    for future in futures.values():
        future.result(700)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("grant", WORKER.grants)
def test_each_right_that_a_worker_lacks_is_named(started: dict[str, "Future[Done]"], grant: str) -> None:
    done = started[grant].result(550)
    assert done.code == FOR_A_PERSON, done.err
    assert f"lacks: {grant}. " in done.err
    assert f"GRANT {grant} TO `{lacks(grant)}`" in done.err
    assert "Traceback" not in done.err
    assert SECRET not in done.out + done.err
