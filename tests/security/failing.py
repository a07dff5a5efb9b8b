"""Every way in which an engine can fail, at once, and every command run against each of them."""

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from pintally.tools.engines.ports import LOOPBACK, free_port
from tests.security.commands import arguments, asked_by, commands
from tests.security.failing_servers import GARBAGE, HTTP, Serve, answering, cutting, hang, listening, reset
from tests.security.forked import Commands, Done
from tests.support.secured import ADMIN, NOBODY, SECRET, Secured
from tests.support.tls_door import tls_doors

LIMIT_SECONDS = 240.0  # on a busy machine. By itself none takes more than 60 s: what hangs longer is killed, and red
ALL = os.environ.get("PINTALLY_TEST_ALL_FAILURES") == "1"  # else commands that ask as others do meet a third of them
LIKE_OTHERS = ("dlq show", "rules show", "rules apply", "accept-loss", "replace-topic", "repair")
WRONG = "wr0ng-password-that-must-not-show"
WAITS = " is away"
PASSWORDS = {"PINTALLY_WORKER_PASSWORD": WRONG, "PINTALLY_READER_PASSWORD": WRONG}  # of users that are to be created
EARLY, LATER = 11, 700  # bytes of answers
ENGINES = ("kafka", "native", "http")
TRANSIENT = (
    "nobody listens",
    "unknown name",
    "hangs",
    "resets",
    "cut early",
    "cut later",
    "ends early",
    "ends later",
    "hangs later",
)
FINAL = ("wrong password", "no right", "an HTTP server", "a TLS server", "garbage")


@contextmanager
def failing(
    secured: Secured, run: Commands, chosen: list[str] | None = None
) -> Iterator[dict[tuple[str, str, str], "Future[Done]"]]:
    """All failures at once, and every command started against each of them."""
    at = secured.plain
    settings = Settings.of(
        env_file=None,
        kafka_bootstrap_servers=at.kafka,
        clickhouse_host=LOOPBACK,
        clickhouse_port=at.clickhouse_port,
        clickhouse_http_port=at.clickhouse_http_port,
        clickhouse_user=ADMIN,
        clickhouse_password=SECRET,
        clickhouse_database="failing",
        topic_prefix="failing.",
        kafka_group_id="failing",
        partitions=1,
        session_timeout_seconds=6,
    )
    migrate(settings.clickhouse)
    create_topics(*settings.sources)
    behind = {"native": at.clickhouse_port, "http": at.clickhouse_http_port}
    servers: dict[int, Serve] = {}
    changes: dict[tuple[str, str], dict[str, Any]] = {}

    def add(engine: str, failure: str, serve: Serve | None, port: int | None = None) -> int:
        port = port or free_port(tuple(servers))
        if serve:
            servers[port] = serve
        changes[engine, failure] = _at(engine, port)
        return port

    tls_port = free_port()
    servers[tls_port] = hang  # keeps the port from being chosen again
    for engine in ENGINES:
        add(engine, "nobody listens", None, 1)
        add(engine, "hangs", hang)
        add(engine, "resets", reset)
        add(engine, "an HTTP server", answering(HTTP))
        add(engine, "garbage", answering(GARBAGE))
        changes[engine, "a TLS server"] = _at(engine, tls_port)
        name = {"kafka": {"kafka_bootstrap_servers": "no-such-host.invalid:9092"}}
        changes[engine, "unknown name"] = name.get(engine, {"clickhouse_host": "no-such-host.invalid"})
        for failure in ("cut early", "cut later", "ends early", "ends later", "hangs later"):
            front, back = secured.doors[failure] if engine == "kafka" else (None, behind[engine])
            end = {"cut": "reset", "ends": "end", "hangs": "hang"}[failure.split()[0]]
            add(engine, failure, cutting(back, EARLY if "early" in failure else LATER, end), front)
    del servers[tls_port]
    login = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_bootstrap_servers": secured.kafka["SASL_PLAINTEXT"]}
    changes["kafka", "wrong password"] = {**login, "kafka_username": NOBODY, "kafka_password": WRONG}
    changes["kafka", "no right"] = {**login, "kafka_username": NOBODY, "kafka_password": SECRET}
    for engine in ("native", "http"):
        changes[engine, "wrong password"] = {"clickhouse_password": WRONG}
        changes[engine, "no right"] = {"clickhouse_user": NOBODY}
    certificate = Path(secured.client_file)
    with listening(servers), tls_doors({tls_port: at.clickhouse_http_port}, certificate, certificate):
        started: dict[tuple[str, str, str], Future[Done]] = {}
        for command in chosen or commands():
            for engine in asked_by(command):
                for failure in failures(command, engine):
                    mine = {"kafka_group_id": f"failing-{len(started)}"}  # one group would share the partitions
                    changed = settings.changed(**(changes[engine, failure] | mine))
                    environment = {k: v for k, v in changed.environment().items() if k.startswith("PINTALLY_")}
                    started[command, engine, failure] = run.start(
                        arguments(command),
                        environment | PASSWORDS,
                        LIMIT_SECONDS,
                        WAITS if waits(command, failure) else "",
                    )
        yield started
        for future in started.values():
            future.result(LIMIT_SECONDS * 3)


def failures(command: str, engine: str) -> list[str]:
    """Which failures of an engine a command is run against."""
    every = [*TRANSIENT, *FINAL]
    if ALL or command not in LIKE_OTHERS:
        return every
    return every[(LIKE_OTHERS.index(command) + ENGINES.index(engine)) % 3 :: 3]


def waits(command: str, failure: str) -> bool:
    """Whether it goes on all the same: a worker and the page wait for engines that are away, and say so."""
    return command in ("worker", "serve") and failure in TRANSIENT


def _at(engine: str, port: int) -> dict[str, Any]:
    settings: dict[str, dict[str, Any]] = {
        "kafka": {"kafka_bootstrap_servers": f"{LOOPBACK}:{port}"},
        "native": {"clickhouse_port": port},
        "http": {"clickhouse_http_port": port},
    }
    return settings[engine]
