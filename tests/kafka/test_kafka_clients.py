"""How clients log in to Kafka, and that none is made without being told."""

import re
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from faust.auth import SASLCredentials, SSLCredentials

from pintally.streams.kafka.clients import LoginIncomplete, kafka_options
from pintally.streams.settings import KafkaSettings
from pintally.streams.worker.app import faust_credentials

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "sinks", "streams", "pintally")
CLIENT = re.compile(r"(?:AIOKafka|Kafka)(?:Admin|Net)?(?:Consumer|Producer|Client)\(([^)]*)")
PLAIN = {"engines", "drill"}  # speak to local engines of their own, on loopback


def kafka(**given: Any) -> KafkaSettings:
    return KafkaSettings(_env_file=None, **given)


def test_without_settings_nothing_is_encrypted_and_nobody_logs_in() -> None:
    assert kafka_options(kafka(bootstrap_servers="a:1, b:2")) == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "PLAINTEXT",
    }
    assert faust_credentials(kafka()) is None


def test_tls_checks_certificate_and_host_name() -> None:
    context = kafka_options(kafka(security_protocol="SSL"))["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert isinstance(faust_credentials(kafka(security_protocol="SSL")), SSLCredentials)


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_faust_gets_the_same_login_as_other_clients(protocol: str, mechanism: str) -> None:
    given = kafka(security_protocol=protocol, sasl_mechanism=mechanism, username="u", password="hunter2")
    options, credentials = kafka_options(given), faust_credentials(given)
    assert isinstance(credentials, SASLCredentials)
    assert (credentials.protocol.value, credentials.mechanism.value) == (protocol, mechanism)
    assert (credentials.username, credentials.password) == ("u", "hunter2")
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("u", "hunter2")
    assert "hunter2" not in f"{given!r} {given} {credentials!r}"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"security_protocol": "SASL_SSL", "username": "u"}, "PINTALLY_KAFKA_PASSWORD"),
        ({"security_protocol": "SASL_SSL", "password": "hunter2"}, "PINTALLY_KAFKA_USERNAME"),
        ({"security_protocol": "SSL", "password": "hunter2"}, "PINTALLY_KAFKA_SECURITY_PROTOCOL=SSL"),
        ({"username": "u"}, "PINTALLY_KAFKA_SECURITY_PROTOCOL=PLAINTEXT"),
        ({"security_protocol": "SSL", "ca_file": "/nowhere/ca.pem"}, "PINTALLY_KAFKA_CA_FILE=/nowhere"),
        ({"security_protocol": "SSL", "cert_file": "/nowhere/c"}, "PINTALLY_KAFKA_CERT_FILE=/nowhere"),
    ],
)
def test_what_does_not_fit_together_is_named_and_the_password_is_not(given: dict[str, str], named: str) -> None:
    with pytest.raises(LoginIncomplete) as refused:
        kafka_options(kafka(**given))
    assert named in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_certificate_of_ours_is_shown(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = authority.issue_cert("worker")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    given = kafka(
        security_protocol="SSL",
        ca_file=str(tmp_path / "ca.pem"),
        cert_file=str(tmp_path / "ours.pem"),
    )
    assert kafka_options(given)["ssl_context"].get_ca_certs()[0]["issuer"]


def test_every_kafka_client_of_ours_is_told_how_to_connect() -> None:
    sources = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if not PLAIN & set(path.parts)]
    made = [(path, match[1]) for path in sources for match in CLIENT.finditer(path.read_text())]
    assert len(made) >= 3
    ignorant = [str(path) for path, arguments in made if arguments and "options" not in arguments]
    assert ignorant == []
