"""What Kubernetes sets beside services whose names begin like our variables does no harm."""

import os
from pathlib import Path

import pytest

from pintally.schemas.errors import PintallyError
from pintally.streams.settings import LOCAL_ENV, Settings, load_settings
from pintally.streams.worker.app import create_app


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("PINTALLY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def links_of(service: str, port: int, address: str = "10.96.0.12", protocol: str = "tcp") -> dict[str, str]:
    """All that a kubelet sets for a service with one port."""
    name = service.upper().replace("-", "_")
    host = f"[{address}]" if ":" in address else address
    link, number = f"{protocol}://{host}:{port}", f"{name}_PORT_{port}_{protocol.upper()}"
    return {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_MAIN": str(port),
        f"{name}_PORT": link,
        number: link,
        f"{number}_PROTO": protocol,
        f"{number}_PORT": str(port),
        f"{number}_ADDR": address,
    }


@pytest.mark.parametrize(
    ("service", "port", "address", "protocol"),
    [
        ("pintally-clickhouse", 9000, "10.96.0.12", "tcp"),
        ("pintally-clickhouse", 19000, "fd00:10:96::c", "tcp"),
        ("pintally-clickhouse-http", 8123, "10.96.0.13", "tcp"),
        ("pintally-web", 80, "10.96.0.14", "udp"),
    ],
)
def test_a_link_with_the_name_of_a_setting_is_ignored_in_one_line(
    service: str,
    port: int,
    address: str,
    protocol: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    unset = load_settings()
    for name, value in links_of(service, port, address, protocol).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == unset
    [line] = capsys.readouterr().err.splitlines()
    assert "enableServiceLinks: false" in line
    assert f"{service.upper().replace('-', '_')}_PORT={protocol}://" in line


@pytest.mark.parametrize("service", ["pintally", "pintally-kafka", "pintally-worker", "pintally-clickhouse-keeper"])
def test_links_of_other_services_are_not_even_mentioned(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in links_of(service, 9092).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == Settings.of(None)
    assert capsys.readouterr().err == ""


def test_what_up_wrote_holds_beneath_a_link_and_what_is_set_above(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / LOCAL_ENV).parent.mkdir()
    (empty_folder / LOCAL_ENV).write_text("PINTALLY_CLICKHOUSE_PORT=4711\n")
    monkeypatch.setenv("PINTALLY_CLICKHOUSE_PORT", "tcp://10.96.0.12:9000")
    assert load_settings().clickhouse.port == 4711
    monkeypatch.setenv("PINTALLY_CLICKHOUSE_PORT", "4712")  # a pod's own variables win over links
    assert load_settings().clickhouse.port == 4712


@pytest.mark.parametrize("value", ["tcp://clickhouse:9000", "http://10.96.0.12:8123", "tcp://10.96.0.12", "9000/tcp"])
def test_what_a_person_may_have_pasted_is_refused_by_name(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINTALLY_CLICKHOUSE_PORT", value)
    with pytest.raises(PintallyError, match="PINTALLY_CLICKHOUSE_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEB_PORT", "tcp://10.96.0.12:80"),  # a service named web
        ("BROKER_URL", "kafka://elsewhere:9092"),
        ("APP_VERSION", "2"),  # would be a part of the group's name
        ("CONSUMER_AUTO_OFFSET_RESET", "latest"),
        ("PROCESSING_GUARANTEE", "exactly_once"),
        ("APP_WEB_ENABLED", "1"),
        ("APP_ENV_PREFIX", "PINTALLY"),
        ("TIMEZONE", "Europe/Berlin"),
    ],
)
def test_variables_that_faust_reads_by_itself_change_nothing(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conf() -> dict[str, str]:
        found = vars(create_app(Settings.of(None)).conf)
        return {
            each: text for each, value in found.items() if " at 0x" not in (text := repr(value)) and each != "_reply_to"
        }

    before = conf()
    monkeypatch.setenv(name, value)
    after = conf()
    assert {each for each in before if before[each] != after[each]} == set()
