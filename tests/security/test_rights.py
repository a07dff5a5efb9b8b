"""Each command works with the rights in Kafka that docs/security.md lists, and without any one names that one."""

import re
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from pintally.schemas.errors import FOR_A_PERSON
from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.kafka.needed_rights import NEEDED, Need
from pintally.streams.kafka.rights import GROUP, TOPIC, TRANSACTIONAL_ID
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from tests.e2e.running import READY, pintally, wait_caught_up, workers
from tests.security.commands import ASKS, arguments
from tests.security.forked import Commands, Done
from tests.support.readme import SECURITY, rights, with_tables
from tests.support.secured import ADMIN, SECRET, Secured

KINDS = {TOPIC: ResourceType.TOPIC, GROUP: ResourceType.GROUP, TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID}
OPERATIONS = {
    "Read": ACLOperation.READ,
    "Write": ACLOperation.WRITE,
    "Create": ACLOperation.CREATE,
    "Describe": ACLOperation.DESCRIBE,
    "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": ACLOperation.ALTER_CONFIGS,
}
INCLUDED = {"Read": "Describe", "Write": "Describe", "AlterConfigs": "DescribeConfigs"}
UNTIL = {"worker": READY, "serve": "both engines answer"}  # commands that go on until they are stopped
LIMIT_SECONDS = 120.0


@dataclass(frozen=True)
class Case:
    """A command with all its rights but one."""

    command: str
    lacks: Need | None

    @property
    def user(self) -> str:
        return f"u{CASES.index(self)}"

    @property
    def arguments(self) -> list[str]:
        """How it is called. Replays are sent where a right to write is looked at, each to a topic of its own."""
        if self.command == "repair":
            return ["repair", "--all"]
        if self.command != "dlq replay" or (self.lacks and self.lacks.operation != "Write"):
            return arguments(self.command)
        topic = "save" if self.lacks is None else "click" if self.lacks.kind == TOPIC else "closeup"
        return [*self.command.split(), "--outcome", "late", "--topic", topic, "--yes"]

    @property
    def granted(self) -> list[Need]:
        """What it has: all but one, and of that what another right includes."""
        left = [need for need in NEEDED[self.command] if need is not self.lacks]
        if self.lacks and self.lacks.operation in INCLUDED and self.lacks.kind != TRANSACTIONAL_ID:
            left.append(replace(self.lacks, operation=INCLUDED[self.lacks.operation]))
        return left

    def settings(self, settings: Settings) -> Settings:
        """As its user; `migrate` is to make topics that are not there."""
        changes: dict[str, object] = {
            "kafka_username": self.user,
            "kafka_group_id": f"{settings.kafka.group_id}-{self.user}",
        }
        if self.command == "migrate":
            changes["topic_prefix"] = f"{self.user}."
        made = settings.changed(**changes)
        # Rules that are to be changed: else there is nothing to look up in the replay topics.
        return made.changed(allowed_lateness_seconds=7200) if self.changes_rules else made

    @property
    def changes_rules(self) -> bool:
        """Whether it asks for other rules than the ledger has; it does not get them."""
        return self.command == "rules apply" and self.lacks is not None and self.lacks.operation == "Read"


OURS = Settings.of(None, topic_prefix="rights.", kafka_group_id="rights")
CASES = [
    Case(command, lacks)
    for command, needs in NEEDED.items()
    for lacks in (None, *needs)
    # It reads only a topic that is to take another's place.
    if not (command == "replace-topic" and lacks and lacks.operation == "Read")
]


@pytest.fixture(scope="module")
def started(
    secured: Secured, run: Commands, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Case, "Future[Done]"]]:
    """Counted records in every topic, a user for each case, and all commands at once."""
    settings = secured.settings(
        kafka_bootstrap_servers=secured.kafka["SASL_PLAINTEXT"],
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="SCRAM-SHA-256",
        kafka_ca_file=None,
        clickhouse_host="127.0.0.1",
        clickhouse_port=secured.plain.clickhouse_port,
        clickhouse_http_port=secured.plain.clickhouse_http_port,
        clickhouse_secure=False,
        clickhouse_ca_file=None,
        clickhouse_user=ADMIN,
        clickhouse_database="rights",
        topic_prefix=OURS.topics.topic_prefix,
        kafka_group_id=OURS.kafka.group_id,
    )
    migrate(settings.clickhouse)
    create_topics(*settings.sources)
    send_replays(secured, settings)
    with workers(settings, tmp_path_factory.mktemp("rights")) as start:
        start()
        assert pintally(settings, "emulate", "--events", "300", "--late", "0.2").returncode == 0
        wait_caught_up(settings)
    make_users(secured, settings)
    for case in CASES:
        if case.lacks and case.lacks.operation == "AlterConfigs":  # topics that are there and forget too early
            create_topics(*settings.changed(topic_prefix=f"{case.user}.", dead_letter_days=3).sources)
    futures = {}
    for case in CASES:
        environment = case.settings(settings).environment()
        ours = {name: value for name, value in environment.items() if name.startswith("PINTALLY_")}
        until = UNTIL.get(case.command, "")
        futures[case] = run.start(case.arguments, ours, LIMIT_SECONDS, until)
    yield futures
    for future in futures.values():
        future.result(LIMIT_SECONDS * 3)


def send_replays(secured: Secured, settings: Settings) -> None:
    """A record in each replay topic: who may not read it must not pass over it."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=secured.plain.kafka)
    for topic in settings.topics.replay_names.values():
        producer.send(topic, b"{}", key=b"1", partition=0)
    producer.close()


def make_users(secured: Secured, settings: Settings) -> None:
    """Users and their rights, as an administrator; on return brokers know them."""
    admin = KafkaAdminClient(bootstrap_servers=secured.plain.kafka)
    try:
        made = [UserScramCredentialUpsertion(case.user, ScramMechanism.SCRAM_SHA_256, SECRET) for case in CASES]
        admin.alter_user_scram_credentials(made)
        acls = [
            ACL(
                f"User:{case.user}",
                "*",
                OPERATIONS[need.operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(KINDS[need.kind], name),
            )
            for case in CASES
            for need in case.granted
            for name in need.names(*case.settings(settings).sources[:2])
        ]
        for start in range(0, len(acls), 100):
            admin.create_acls(acls[start : start + 100])
    finally:
        admin.close()


def test_the_table_of_rights_is_that_of_the_code() -> None:
    assert SECURITY.read_text() == with_tables(SECURITY.read_text(), rights()), "run `make readme`"
    assert set(NEEDED) == {command for command, asks in ASKS.items() if "kafka" in asks}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.command}-{case.lacks and case.lacks.operation}")
def test_the_rights_that_are_listed_are_enough_and_each_is_needed(
    started: dict[Case, "Future[Done]"], case: Case
) -> None:
    done = started[case].result(300)
    said = done.out + done.err
    assert "Traceback" not in said
    assert SECRET not in said
    if case.lacks is None:
        assert done.code in ((None,) if case.command in UNTIL else (0, 1) if case.command == "explain" else (0,)), said
        return
    assert done.code == FOR_A_PERSON, said
    error = next(line for line in said.splitlines() if re.search(r"^(error|cannot tell): | this worker ends: ", line))
    need = case.lacks
    assert need.operation in error
    assert any(name in error for name in need.names(*case.settings(OURS).sources[:2]))
    assert f"--operation {need.operation} --{need.kind} '" in said
    assert "kafka-acls.sh" in said
