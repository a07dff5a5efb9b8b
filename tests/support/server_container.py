"""A whole clickhouse-server in a container, with TLS of its own and users in SQL: what the local engine cannot do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from pintally.streams.settings import Settings
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.ports import LOOPBACK, free_port
from pintally.tools.engines.ready import clickhouse_answers
from tests.support.engines import CLICKHOUSE_IMAGE, Container, docker_answers, docker_host

ADMIN, SECRET = "administrator", "corr3ct-horse-b4ttery"
CERTIFICATES = "/etc/clickhouse-server/certificates"
TLS = f"""<clickhouse>
  <tcp_port_secure>9440</tcp_port_secure>
  <https_port>8443</https_port>
  <openSSL><server>
    <certificateFile>{CERTIFICATES}/certificate.pem</certificateFile>
    <privateKeyFile>{CERTIFICATES}/key.pem</privateKeyFile>
    <verificationMode>none</verificationMode>
    <loadDefaultCAFile>true</loadDefaultCAFile>
  </server></openSSL>
</clickhouse>
"""


@dataclass(frozen=True)
class Server:
    """Where it listens, with TLS, and whom to trust."""

    host: str
    native_port: int
    https_port: int
    ca_file: str

    def settings(self, settings: Settings, **changes: Any) -> Settings:
        """The same Kafka, and this ClickHouse as its administrator."""
        here: dict[str, Any] = {
            "clickhouse_host": self.host,
            "clickhouse_port": self.native_port,
            "clickhouse_http_port": self.https_port,
            "clickhouse_user": ADMIN,
            "clickhouse_password": SECRET,
            "clickhouse_secure": True,
            "clickhouse_ca_file": self.ca_file,
        }
        return settings.changed(**(here | changes))


def skip_without_server() -> None:
    """Skip the test where Docker or the image is not there, and say what it waits for."""
    if not docker_answers():
        pytest.skip("waits for a Docker daemon: the local engine has neither TLS nor users in SQL")
    import docker
    from docker.errors import ImageNotFound

    client = docker.from_env()
    try:
        client.images.get(CLICKHOUSE_IMAGE)
    except ImageNotFound:
        pytest.skip(f"waits for the image {CLICKHOUSE_IMAGE}: docker pull {CLICKHOUSE_IMAGE}")
    finally:
        client.close()


@contextmanager
def clickhouse_server(directory: Path) -> Iterator[Server]:
    """The server, ready; removed at the end."""
    from testcontainers.core.container import DockerContainer

    ports: list[int] = []
    for _ in range(4):
        ports.append(free_port(ports))
    plain, http, native, https = ports
    _files(directory)
    container = DockerContainer(CLICKHOUSE_IMAGE).with_envs(
        CLICKHOUSE_USER=ADMIN, CLICKHOUSE_PASSWORD=SECRET, CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT="1"
    )
    for inside, outside in ((9000, plain), (8123, http), (9440, native), (8443, https)):
        container = container.with_bind_ports(inside, outside)
    container = container.with_volume_mapping(str(directory / "certificates"), CERTIFICATES, "ro")
    container = container.with_volume_mapping(
        str(directory / "tls.xml"), "/etc/clickhouse-server/config.d/tls.xml", "ro"
    )
    with container:
        host = docker_host(container)
        addresses = EngineAddresses("", host, plain, http, ADMIN, SECRET)
        Container(container, lambda: clickhouse_answers(addresses)).wait_ready()
        yield Server("localhost" if host == LOOPBACK else host, native, https, str(directory / "authority.pem"))


def _files(directory: Path) -> None:
    """Certificates and configuration, for the server's own user to read."""
    authority, folder = trustme.CA(), directory / "certificates"
    folder.mkdir()
    authority.cert_pem.write_to_path(directory / "authority.pem")
    server = authority.issue_cert("localhost", LOOPBACK)
    server.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "certificate.pem").write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    (directory / "tls.xml").write_text(TLS)
    folder.chmod(0o755)
    for file in (*folder.iterdir(), directory / "tls.xml"):
        file.chmod(0o644)
