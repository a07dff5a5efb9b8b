"""Addresses as people paste them: clear ones are taken, all others are refused with what to write, without a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.errors import PintallyError
from pintally.streams.settings import Settings, load_settings
from pintally.streams.settings.addresses import Unusable, host_of, servers_of
from pintally.streams.settings.variables import warnings_of

SECRET = "corr3ct-horse"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("PINTALLY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("broker:9092", "broker:9092"),
        (" a:1 , b:2 ,\n", "a:1,b:2"),
        ("[::1]:9092", "[::1]:9092"),
        ("10.0.0.1:65535", "10.0.0.1:65535"),
    ],
)
def test_clear_servers_are_taken(text: str, taken: str) -> None:
    assert servers_of(text) == taken


@pytest.mark.parametrize(
    ("text", "what", "write"),
    [
        (
            "SASL_SSL://host:9093",
            "SASL_SSL://",
            "Write host:port: host:9093. Set PINTALLY_KAFKA_SECURITY_PROTOCOL=SASL_SSL.",
        ),
        ("kafka://host:9092", "as a URL", "host:9092"),
        ("a:1,PLAINTEXT://host:9092/", "as a URL", "host:9092"),
        ("host", "no port", "host:9092"),
        ("host:", "no port", "host:"),
        ("host:9092/", "slash", "host:9092"),
        ("host:9092/topic", "slash", "host:9092"),
        ("host:9092:9092", "more than one port", "host:9092"),
        (":9092", "no host", "broker:9092"),
        ("::1:9092", "brackets", "[::1]:9092"),
        ("fe80::1", "brackets", "Write ["),
        ("[::1]", "no port", "[::1]:9092"),
        ("host:0", "no port", "1 to 65535"),
        ("host:70000", "no port", "1 to 65535"),
        ("host:port", "no port", "1 to 65535"),
        ('"host:9092"', "quotes", "without quotes"),
        ("'host:9092'", "quotes", "without quotes"),
        ("a:1 b:2", "space", "commas"),
        ("a:1;b:2", "more than one port", "host:port"),
        ("", "no server", "host:port"),
        (" , ", "no server", "host:port"),
        (f"user:{SECRET}@host:9092", "a user or a password", "host:9092. Set PINTALLY_KAFKA_USERNAME"),
        (f"SASL_SSL://user:{SECRET},x/y@host:9092", "a user or a password", "host:9092"),
    ],
)
def test_other_servers_are_refused_with_what_to_write(
    text: str, what: str, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINTALLY_KAFKA_BOOTSTRAP_SERVERS", text)
    with pytest.raises(PintallyError) as refused:
        load_settings()
    assert refused.value.what.startswith("setting PINTALLY_KAFKA_BOOTSTRAP_SERVERS=")
    assert what in refused.value.what
    assert write in refused.value.remedy
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "taken"), [(" clickhouse\n", "clickhouse"), ("::1", "::1"), ("[::1]", "::1"), ("10.0.0.1", "10.0.0.1")]
)
def test_clear_hosts_are_taken(text: str, taken: str) -> None:
    assert host_of(text) == taken


@pytest.mark.parametrize(
    ("text", "what", "write"),
    [
        ("http://host:8123", "as a URL", "host, and its port 8123 into"),
        ("https://host", "as a URL", "Write the host alone: host."),
        ("tcp://host:9000/db", "as a URL", "host, and its port 9000 into"),
        ("host:9000", "a port", "host, and its port 9000 into PINTALLY_CLICKHOUSE_PORT"),
        ("[::1]:9000", "a port", "::1, and its port 9000"),
        ("host/", "slash", "Write the host alone: host."),
        ("host:", "a port", "Write the host alone: host."),
        ("[", "no host", "Write the host alone: clickhouse."),
        ("a,b", "more than one", "one host"),
        ("", "empty", "host"),
        ("'host'", "quotes", "without quotes"),
        (f"http://default:{SECRET}@host:8123", "as a URL", "host, and its port 8123"),
        (f"jdbc:clickhouse://host:8123/db?user=u&password={SECRET}", "", "host, and its port 8123"),
    ],
)
def test_other_hosts_are_refused_with_what_to_write(
    text: str, what: str, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINTALLY_CLICKHOUSE_HOST", text)
    with pytest.raises(PintallyError) as refused:
        load_settings()
    assert refused.value.what.startswith("setting PINTALLY_CLICKHOUSE_HOST=")
    assert what in refused.value.what
    assert write in refused.value.remedy
    assert SECRET not in str(refused.value)


@given(st.text() | st.text("[]:/@?#,. a1", max_size=9))
def test_whatever_is_pasted_is_taken_or_refused_and_what_is_taken_is_taken_again(text: str) -> None:
    for read in (servers_of, host_of):
        try:
            taken = read(text)
        except Unusable:
            continue
        else:
            assert read(taken) == taken


@given(st.text(min_size=6), st.sampled_from(["user:{}@host:1", "kafka://u:{}@host:9", "a:1,u:{}@b:2", "http://{}@h/"]))
def test_no_password_is_shown(secret: str, form: str) -> None:
    hidden = f"<{secret}>"
    for read in (servers_of, host_of):
        with pytest.raises(Unusable) as refused:
            read(form.format(hidden))
        assert hidden not in f"{refused.value.shown} {refused.value.what} {refused.value.remedy}"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CLICKHOUSE_PORT", "9000/tcp", "a port, a number from 1 to 65535"),
        ("CLICKHOUSE_PORT", "0", "1 or more"),
        ("CLICKHOUSE_HTTP_PORT", "99999", "65535 or less"),
        ("WEB_PORT", "-1", "1 or more"),
        ("CLICKHOUSE_PORT", "", "set, but empty"),
        ("FLUSH_INTERVAL_SECONDS", "10s", "a number of seconds, without a unit"),
        ("FLUSH_INTERVAL_SECONDS", "inf", "number"),
        ("FLUSH_INTERVAL_SECONDS", "nan", "number of seconds"),
        ("DEAD_LETTER_DAYS", "14d", "a number of days, without a unit"),
        ("MAX_PENDING_CELLS", "5M", "a number, without a unit"),
        ("MAX_PENDING_CELLS", '"5"', "without quotes"),
        ("DEDUP", "perhaps", "true or false"),
        ("CLICKHOUSE_SECURE", "ssl", "true or false"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "SCRAM", "SCRAM-SHA-512"),
        ("TOPIC_TIMESTAMPS", "logappendtime", "LogAppendTime, CreateTime"),
        ("KAFKA_GROUP_ID", "", "set, but empty"),
        ("CLICKHOUSE_DATABASE", "", "set, but empty"),
    ],
)
def test_a_value_that_cannot_be_used_is_answered_with_what_it_may_be(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PINTALLY_{name}", value)
    with pytest.raises(PintallyError) as refused:
        load_settings()
    assert refused.value.what.startswith(f"setting PINTALLY_{name}={value!r}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize("name", ["KAFKA_GROUP_INSTANCE_ID", "KAFKA_USERNAME", "KAFKA_CA_FILE", "CLICKHOUSE_CA_FILE"])
def test_nothing_where_nothing_may_stand_means_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PINTALLY_{name}", "")
    assert load_settings().values()[name.lower()] is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"PINTALLY_KAFKA_BOOTSTRAP_SERVER": "a:1"}, "did you mean PINTALLY_KAFKA_BOOTSTRAP_SERVERS?"),
        ({"PINTALLY_CLICKHOUSE_PASSWD": SECRET}, "did you mean PINTALLY_CLICKHOUSE_PASSWORD?"),
        ({"PINTALLY_ALLOWED_LATENESS": "1"}, "did you mean PINTALLY_ALLOWED_LATENESS_SECONDS?"),
        ({"PINTALLY_SOMETHING_ELSE": "1"}, "README.md lists all"),
    ],
)
def test_a_variable_that_nobody_reads_is_named_with_the_nearest(given: dict[str, str], said: str) -> None:
    [warning] = warnings_of(given, Settings.of().values())
    assert next(iter(given)) in warning
    assert said in warning
    assert SECRET not in warning


@pytest.mark.parametrize(
    "given",
    [
        {
            "PINTALLY_KAFKA_BOOTSTRAP_SERVERS": "a:1",
            "KAFKA": "x",
            "PINTALLY_WORKER_PASSWORD": "x",
            "PINTALLY_RESTARTED": "1",
        },
        {"PINTALLY_CLICKHOUSE_SERVICE_HOST": "10.0.0.1", "PINTALLY_CLICKHOUSE_PORT_9000_TCP": "tcp://10.0.0.1:9000"},
        {"PINTALLY_SERVICE_PORT_WEB": "1", "PINTALLY_PORT": "tcp://10.0.0.1:1", "PINTALLY_PORT_1_TCP_ADDR": "10.0.0.1"},
    ],
)
def test_what_is_read_and_what_kubernetes_sets_is_no_matter(given: dict[str, str]) -> None:
    assert list(warnings_of(given, Settings.of().values())) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kafka_ca_file": "a.pem"}, "PINTALLY_KAFKA_CA_FILE is ignored"),
        ({"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ca_file": "a.pem"}, "set it to SASL_SSL"),
        ({"kafka_security_protocol": "SSL", "kafka_key_file": "a.pem"}, "PINTALLY_KAFKA_CERT_FILE"),
        ({"clickhouse_ca_file": "a.pem"}, "PINTALLY_CLICKHOUSE_CA_FILE is ignored"),
    ],
)
def test_settings_that_have_no_effect_together_are_named(changes: dict[str, str], said: str) -> None:
    [warning] = warnings_of({}, Settings.of().values() | changes)
    assert said in warning
