"""Kafka and ClickHouse set up with TLS and logins, on local processes: certificates and users made for one session."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion

from pintally.sinks.clickhouse.users import users, users_xml
from pintally.streams.settings import Settings
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.child import Child
from pintally.tools.engines.clickhouse import clickhouse_program
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.kafka import kafka_program, listeners
from pintally.tools.engines.ports import LOOPBACK, free_port
from tests.support.tls_door import tls_doors

SECRET = "corr3ct-horse-b4ttery"
ADMIN, WORKER, READER = "pintally_admin", "pintally_worker", "pintally_reader"
PAGE = "pintally_page"  # may only read, of this database
NOBODY = "nobody_in_particular"  # has a login in Kafka and in ClickHouse, and no rights
DATABASE = "secured"

BROKER = """
listeners=PLAINTEXT://{host}:{plain},CONTROLLER://{host}:{controller},TLS://{host}:{tls},LOGIN://{host}:{login},BOTH://{host}:{both}{doors[proxy_listeners]}
advertised.listeners=PLAINTEXT://{host}:{plain},TLS://localhost:{tls},LOGIN://{host}:{login},BOTH://localhost:{both}{doors[proxy_addresses]}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,LOGIN:SASL_PLAINTEXT,BOTH:SASL_SSL{doors[proxy_protocols]}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:certified;User:{worker}
listener.name.tls.ssl.principal.mapping.rules=RULE:^.*$/certified/
ssl.keystore.type=PEM
ssl.keystore.location={keys}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.tls.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.both.plain.sasl.jaas.config={plain_login}
listener.name.login.plain.sasl.jaas.config={plain_login}
listener.name.both.scram-sha-256.sasl.jaas.config={scram_login}
listener.name.both.scram-sha-512.sasl.jaas.config={scram_login}
listener.name.login.scram-sha-256.sasl.jaas.config={scram_login}
listener.name.login.scram-sha-512.sasl.jaas.config={scram_login}
"""
PLAIN_LOGIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{WORKER}="{SECRET}";'
SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True)
class Secured:
    """Engines that speak TLS and ask who is there."""

    plain: EngineAddresses  # for the tests' own use
    kafka: dict[str, str]  # security protocol -> bootstrap servers
    native_port: int  # TLS
    https_port: int
    ca_file: str
    client_file: str  # certificate and key that the authority signed
    doors: dict[str, tuple[int, int]]  # name -> where clients of a plain listener are sent, and where Kafka listens

    def settings(self, **changes: Any) -> Settings:
        """Everything encrypted and with a login, as the user of workers."""
        given: dict[str, Any] = {
            "kafka_bootstrap_servers": self.kafka["SASL_SSL"],
            "kafka_security_protocol": "SASL_SSL",
            "kafka_username": WORKER,
            "kafka_password": SECRET,
            "kafka_ca_file": self.ca_file,
            "clickhouse_host": "localhost",
            "clickhouse_port": self.native_port,
            "clickhouse_http_port": self.https_port,
            "clickhouse_user": WORKER,
            "clickhouse_password": SECRET,
            "clickhouse_database": DATABASE,
            "clickhouse_secure": True,
            "clickhouse_ca_file": self.ca_file,
            "partitions": 1,
            "session_timeout_seconds": 6,
            "flush_interval_seconds": 0.2,
        }
        return Settings.of(None, **(given | changes))


@contextmanager
def secured_engines(directory: Path, doors: Sequence[str] = ()) -> Iterator[Secured]:
    """Both engines, ready; stopped at the end. `doors` are listeners whose clients are sent to another port."""
    folder = EngineFolder(directory)
    folder.take()
    try:
        keys = _certificates(directory)
        names = ("plain", "controller", "tls", "login", "both", "tcp", "http", "native", "https")
        ports: dict[str, int] = {}
        for name in (*names, *(f"{name} {side}" for name in doors for side in ("front", "back"))):
            ports[name] = free_port(tuple(ports.values()))
        ways = {name: (ports[f"{name} front"], ports[f"{name} back"]) for name in doors}
        addresses = EngineAddresses(f"{LOOPBACK}:{ports['plain']}", LOOPBACK, ports["tcp"], ports["http"])
        with ExitStack() as stops:
            for child in (
                _clickhouse(folder, addresses),
                _kafka(folder, ports, keys, {back: front for front, back in ways.values()}),
            ):
                child.start()
                stops.callback(child.stop)
                child.wait_ready()
            make_scram_users(addresses.kafka)
            plain = {ports["native"]: ports["tcp"], ports["https"]: ports["http"]}
            stops.enter_context(tls_doors(plain, keys["certificate"], keys["key"]))
            kafka = {"SSL": "tls", "SASL_PLAINTEXT": "login", "SASL_SSL": "both"}
            yield Secured(
                plain=addresses,
                kafka={protocol: f"localhost:{ports[name]}" for protocol, name in kafka.items()},
                native_port=ports["native"],
                https_port=ports["https"],
                ca_file=str(keys["authority"]),
                client_file=str(keys["client"]),
                doors=ways,
            )
    finally:
        folder.release()


def without_one(grants: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Each grant, and all the others."""
    return [(grant, tuple(other for other in grants if other != grant)) for grant in grants]


def lacks(grant: str) -> str:
    """The ClickHouse user that has all grants of a worker but this one."""
    return "lacks_" + re.sub(r"\W+", "_", grant).strip("_")


def _certificates(directory: Path) -> dict[str, Path]:
    authority = trustme.CA()
    files = {name: directory / f"{name}.pem" for name in ("authority", "server", "key", "certificate", "client")}
    authority.cert_pem.write_to_path(files["authority"])
    server, client = authority.issue_cert("localhost", LOOPBACK), authority.issue_cert("worker")
    client.private_key_and_cert_chain_pem.write_to_path(files["client"])
    chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
    key = serialization.load_pem_private_key(server.private_key_pem.bytes(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # Kafka reads no other form
    files["key"].write_bytes(key)
    files["certificate"].write_bytes(chain)
    files["server"].write_bytes(key + chain)
    return files


def _kafka(folder: EngineFolder, ports: dict[str, int], keys: dict[str, Path], doors: Mapping[int, int]) -> Child:
    program = kafka_program(folder, ports["plain"], ports["controller"])
    more = BROKER.format(
        host=LOOPBACK,
        keys=keys["server"],
        authority=keys["authority"],
        plain_login=PLAIN_LOGIN,
        scram_login=SCRAM_LOGIN,
        worker=WORKER,
        doors=listeners(doors),
        **{name: ports[name] for name in ("plain", "controller", "tls", "login", "both")},
    )
    with (folder.kafka / "server.properties").open("a") as properties:  # of two lines for one name the last holds
        properties.write(more)
    return Child(program, folder.lock_fd, print)


def make_scram_users(kafka: str) -> None:
    """The users of Kafka, with the password SECRET."""
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # one a request, says Kafka
            for user in (WORKER, NOBODY):
                answer = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, mechanism, SECRET)])
                assert answer == {user: None}, answer
    finally:
        admin.close()


def _clickhouse(folder: EngineFolder, addresses: EngineAddresses) -> Child:
    program = clickhouse_program(folder, addresses)
    users_file = folder.clickhouse / "users.xml"
    worker, reader = users(DATABASE, SECRET, SECRET)
    lacking = [replace(worker, name=lacks(right), grants=others) for right, others in without_one(worker.grants)]
    page = replace(reader, name=PAGE, grants=(f"SELECT ON `{DATABASE}`.*",))
    nobody = replace(reader, name=NOBODY, grants=(f"SELECT ON `{DATABASE}_other`.*",))
    made = users_xml([worker, reader, page, nobody, *lacking]).split("<users>\n")[1].split("  </users>")[0]
    admin = (
        f"    <{ADMIN}><password>{SECRET}</password><networks><ip>::/0</ip></networks>"
        f"<access_management>1</access_management></{ADMIN}>\n"
    )
    users_file.write_text(users_file.read_text().replace("</users>", f"{made}{admin}</users>"))
    return Child(program, folder.lock_fd, print)
