"""Settings of shards: servers as people write them, and what does not fit together is refused by name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.errors import PintallyError
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.settings import Settings, load_settings
from pintally.streams.settings.addresses import Unusable
from pintally.streams.settings.other_shards import Named, place_of, shards_of

HOSTS = st.sampled_from(["ch-1", "10.0.0.1", "ch.example.com", "[::1]", "[fd00::2]"])
PORTS = st.none() | st.integers(1, 65535)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("b:9001:8124", [("b", 9001, 8124, "d")]),
        (" b , c:9001 ,", [("b", 9000, 8123, "d"), ("c", 9001, 8123, "d")]),
        ("[::1]:1:2", [("::1", 1, 2, "d")]),
        (
            "a/d_1,b:9001/d_2,b:9001:8124/d-3",
            [("a", 9000, 8123, "d_1"), ("b", 9001, 8123, "d_2"), ("b", 9001, 8124, "d-3")],
        ),
    ],
)
def test_servers_are_taken_in_their_order_and_what_is_left_out_is_as_on_the_first(
    text: str, places: list[tuple[str, int, int, str]]
) -> None:
    settings = Settings.of(None, clickhouse_host="a", clickhouse_database="d", clickhouse_other_shards=text)
    first, *others = settings.clickhouse.shards
    assert str(first) == "a:9000/d"
    assert [(each.host, each.port, each.http_port, each.database) for each in others] == places
    audited = addresses_of(settings).of_shards()
    assert [(each.clickhouse_host, each.clickhouse_http_port, each.database) for each in audited[1:]] == [
        (host, http_port, database) for host, _, http_port, database in places
    ]


@given(st.lists(st.tuples(HOSTS, PORTS), min_size=1, unique=True))
def test_what_was_taken_once_is_taken_again_and_means_the_same(places: list[tuple[str, int | None]]) -> None:
    text = " , ".join(host if port is None else f"{host}:{port}" for host, port in places)
    taken = shards_of(text)
    assert shards_of(taken) == taken
    found = [place_of(each, Named("a", 9000, 8123, "d"))[:2] for each in taken.split(",")]
    assert found == [(host.strip("[]"), port or 9000) for host, port in places]


@pytest.mark.parametrize(
    "text", ["b:0", "b:70000", "http://b:8123", "u:p@b:1:2", "b c", "b:1:2:3", "::1", "b,b", "b/", "b/d/e", "b/d e"]
)
def test_what_is_no_server_is_refused_and_no_password_is_shown(text: str) -> None:
    with pytest.raises(Unusable) as refused:
        shards_of(text)
    assert "p@" not in f"{refused.value.shown}{refused.value.what}"


def load(monkeypatch: pytest.MonkeyPatch, folder: Path, *, over_shards: bool, **values: str) -> Settings:
    monkeypatch.chdir(folder)
    for name, value in values.items():
        monkeypatch.setenv(f"PINTALLY_{name}", value)
    return load_settings(over_shards=over_shards)


@pytest.mark.parametrize(
    ("shards", "others", "words"),
    [
        ("2", "", "name 1"),
        ("1", "b", "name 2"),
        ("3", "b", "PINTALLY_SHARDS=3"),
        ("2", "a:9000:1", "one database is named for two shards"),
        ("2", "a/pintally", "one database is named for two shards"),
    ],
)
def test_servers_and_their_number_must_agree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shards: str, others: str, words: str
) -> None:
    given = {"CLICKHOUSE_HOST": "a", "SHARDS": shards, "CLICKHOUSE_OTHER_SHARDS": others}
    with pytest.raises(PintallyError, match=words):
        load(monkeypatch, tmp_path, over_shards=True, **given)


def test_a_command_that_asks_one_server_is_refused_where_there_are_several(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {"CLICKHOUSE_HOST": "a", "SHARDS": "2", "CLICKHOUSE_OTHER_SHARDS": "a/other"}
    assert len(load(monkeypatch, tmp_path, over_shards=True, **given).clickhouse.shards) == 2
    with pytest.raises(PintallyError, match="the pins are on 2 shards") as refused:
        load(monkeypatch, tmp_path, over_shards=False, **given)
    assert refused.value.remedy
