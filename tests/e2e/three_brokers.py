"""Three local brokers for the tests of a module, and what is done to them."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka import TopicPartition

from pintally.schemas.actions import dead_letter_topic
from pintally.schemas.errors import PintallyError
from pintally.streams.settings import Settings
from pintally.tools.drill.leaders import GROUPS, Placement, placements
from pintally.tools.engines import Engines, local_engines
from pintally.tools.engines.child import Child
from tests.e2e.running import ASKED_S, wait_for
from tests.support.engines import skip_where_none_run


@dataclass(frozen=True)
class Cluster:
    """The engines, and the topics of one test."""

    engines: Engines
    settings: Settings

    def broker(self, number: int) -> Child:
        """The process of this node id."""
        return self.engines.brokers[number - 1]

    def placed(self) -> dict[TopicPartition, Placement]:
        """All partitions of this test's topics, and that of the groups."""
        names = list(self.settings.topics.names.values())
        return placements(self.settings.kafka, [*names, *map(dead_letter_topic, names), GROUPS.topic])

    def replicas(self) -> dict[TopicPartition, tuple[int, ...]]:
        """The brokers of each, the preferred leader first."""
        return {at: each.replicas for at, each in self.placed().items()}

    def heal(self) -> None:
        """Return once all brokers are up and every replica is in sync."""
        for broker in self.engines.brokers:
            broker.start()
        for broker in self.engines.brokers:
            broker.wait_ready(180)
        self.wait_whole()

    def wait_whole(self) -> None:
        """Return once every replica is in sync, as whoever restarts brokers one by one must do before the next."""
        self.wait(lambda: all(each.whole for each in self.placed().values()), "every replica in sync")

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Return once it holds; while a broker is away, some questions have no answer."""

        def holds() -> object:
            try:
                return condition()
            except PintallyError:
                return False

        wait_for(holds, seconds, what, ASKED_S)

    @contextmanager
    def without(self, number: int) -> Iterator[None]:
        """A broker is killed until the end of the block, and is back then."""
        self.broker(number).kill()
        try:
            yield
        finally:
            self.broker(number).start()
            self.broker(number).wait_ready(180)


@contextmanager
def open_three_brokers(directory: Path) -> Iterator[Engines]:
    """Three brokers and a ClickHouse, whatever engines other tests use."""
    skip_where_none_run()
    with local_engines(directory, kafka_brokers=3) as engines:
        yield engines


def settings_on(engines: Engines, directory: Path) -> Settings:
    """Topics, group and database of one test's own."""
    name = f"t{uuid.uuid4().hex[:12]}"
    return Settings.of(
        env_file=directory / "none",
        **engines.addresses.settings(),
        clickhouse_database=name,
        topic_prefix=f"{name}.",
        kafka_group_id=name,
        partitions=3,
        session_timeout_seconds=10,
        flush_interval_seconds=0.2,
    )
