"""`pintally explain` on the real engines: a record of every outcome, with the reason and what readers see."""

import json
import uuid
from pathlib import Path
from typing import Any

import typer
from kafka import TopicPartition

from pintally.cli.explain import explain as explain_command
from pintally.schemas.actions import Action
from pintally.schemas.experiments import bucket_of
from pintally.streams.kafka.admin import open_admin
from pintally.streams.settings import Settings
from tests.counting.test_user_hash import PUBLISHED
from tests.e2e.running import wait_caught_up, workers
from tests.e2e.test_dlq import HOUR_MS, dlq, event, here, now, produce

COMMAND = typer.Typer()
COMMAND.command()(explain_command)


def explain(settings: Settings, event_id: str, *arguments: str, code: int = 0) -> Any:
    """The JSON that `pintally explain ... --json` prints."""
    return json.loads(here(settings, COMMAND, event_id, "--json", *arguments, code=code))


def test_each_outcome_is_explained_with_its_reason_its_cell_and_what_readers_see(
    stack: Settings, tmp_path: Path
) -> None:
    once, broken, late = (str(uuid.uuid4()) for _ in range(3))
    topic = stack.topics.names[Action.SAVE]
    produce(
        stack,
        [
            event("5", event_id=once),
            event("5", event_id=once.upper()),
            event("five", event_id=broken),
            event("6", now() - 5 * HOUR_MS, late),
            b"{" + broken.encode(),
        ],
    )
    with workers(stack, tmp_path) as start:
        start()
        wait_caught_up(stack)
        counted, duplicate = explain(stack, once.upper())["records"]
        assert (counted["place"], counted["outcome"], counted["flushed"]) == (f"{topic}[0]@0", "counted", True)
        assert (duplicate["outcome"], duplicate["why"]) == ("duplicate", f"duplicate of {topic}[0]@0")
        for cell in (counted["cell"], duplicate["cell"]):
            assert (cell["action"], cell["pin"], cell["recounted"], cell["stored"]["events"]) == ("save", 5, 1, 1)
            assert [(window["counts"]["saves"], window["is_final"]) for window in cell["windows"]] == [(1, False)] * 3

        invalid, scrap = explain(stack, broken, "--topic", "save")["records"]
        assert (invalid["outcome"], invalid["why"], invalid["cell"]) == ("invalid", invalid["letter"]["reason"], None)
        assert "pin_id" in invalid["why"]
        assert (scrap["outcome"], scrap["place"]) == ("invalid", f"{topic}[0]@4")

        (told,) = explain(stack, late)["records"]
        assert told["outcome"] == told["letter"]["outcome"] == "late"
        assert "the lateness is 1 h" in told["why"]
        assert [window["counts"]["saves"] for window in told["cell"]["windows"]] == [0, 0, 0]

        dlq(stack, "replay", "--outcome", "late", "--yes")
        corrected = ("--origin", f"{topic}[0]@2", "--set", "pin_id=7", "--set", f"event_id={uuid.uuid4()}")
        dlq(stack, "replay", *corrected, "--yes")
        wait_caught_up(stack)
        told, replayed = explain(stack, late)["records"]
        assert told["replay"] == replayed["place"] == f"{topic}.replay[0]@0"
        assert (replayed["replay_of"], replayed["outcome"]) == (f"{topic}[0]@3", "counted")
        assert [window["counts"]["saves"] for window in replayed["cell"]["windows"]] == [1, 1, 1]
        first, other = (told for told in explain(stack, broken)["records"] if told["place"] != f"{topic}[0]@4")
        assert first["replay"] == other["place"]
        assert (other["outcome"], other["cell"]["pin"]) == ("counted", 7)
    words = here(stack, COMMAND, once)
    assert "duplicate of" in words
    assert "by recount" in words


def test_the_label_and_the_trust_of_an_event_are_told(stack: Settings, tmp_path: Path) -> None:
    ids, topic = [str(uuid.uuid4()) for _ in range(7)], stack.topics.names[Action.SAVE]
    moment = now()
    shown_on: list[dict[str, Any]] = [{"surface": "home \x1b[2J", "platform": "ios"}] * 6 + [{"platform": "unknown"}]
    in_arms = {"experiments": {"checkout": "a \x1b[2J", "feed": "control", "unnamed": "b"}}
    shown_on[5] = shown_on[5] | in_arms
    stack = stack.changed(experiments="checkout,feed", count_users=True, user_key=PUBLISHED)
    produce(stack, [
        json.dumps(json.loads(event("5", moment, event_id=event_id)) | labels).encode()
        for event_id, labels in zip(ids, shown_on, strict=True)
    ])  # fmt: skip
    with workers(stack, tmp_path) as start:
        start()
        wait_caught_up(stack)
        cells = [explain(stack, event_id)["records"][0]["cell"] for event_id in ids]
        assert [cell["is_trusted"] for cell in cells] == [True] * 5 + [False] * 2
        labels = [(cell["surface"], cell["platform"]) for cell in cells]
        assert labels == [("home \x1b[2J", "ios")] * 6 + [("unknown", "unknown")]
        counts = [(cell["recounted"], cell["recounted_trusted"]) for cell in cells]
        assert counts == [(6, 5)] * 6 + [(1, 0)]
        stored = [(cell["stored"]["events"], cell["stored"]["trusted"]) for cell in cells]
        assert stored == counts
        whole = [(window["counts"]["saves"], window["trusted"]["saves"]) for window in cells[0]["windows"]]
        assert whole == [(7, 5)] * 3
        shown = cells[0]["breakdowns"]
        assert {(each["dimension"], each["label"]) for each in shown} == {
            ("surface", "home \x1b[2J"),
            ("platform", "ios"),
        }
        assert {(each["counts"]["saves"], each["trusted"]["saves"]) for each in shown} == {(6, 5)}
        assert [cell["arms"] for cell in cells[:5]] == [[]] * 5
        bucket, hour = bucket_of(7), moment // HOUR_MS * 3600
        assert [(arm["experiment"], arm["arm"], arm["bucket"], arm["hour"]) for arm in cells[5]["arms"]] == [
            ("checkout", "a \x1b[2J", bucket, hour),
            ("feed", "control", bucket, hour),
        ]
        members = [cell["member"] for cell in cells]
        assert [(member["surface"], member["hour"]) for member in members] == [(name, hour) for name, _ in labels]
        assert [(member["recounted"], member["stored"]["events"]) for member in members] == [(6, 6)] * 6 + [(1, 1)]
        trusted = [(member["recounted_trusted"], member["stored"]["trusted"]) for member in members]
        assert trusted == [(5, 5)] * 6 + [(0, 0)]
        assert [member["flag"] for member in members] == [None] * 7, "users of this hour are not sealed"
        for arm in cells[5]["arms"]:
            assert (arm["recounted"], arm["recounted_trusted"]) == (1, 0)
            assert (arm["stored"]["events"], arm["stored"]["trusted"]) == (1, 0)
        of_arms = [[(each["experiment"], each["arm"], each["hour"]) for each in cell["arm_members"]] for cell in cells]
        assert of_arms[5] == [("checkout", "a \x1b[2J", hour), ("feed", "control", hour)]
        assert of_arms[:5] == [[]] * 5
        assert [(each["recounted"], each["stored"]["events"]) for each in cells[5]["arm_members"]] == [(1, 1)] * 2
    words = here(stack, COMMAND, ids[5])
    assert "not trusted" in words
    assert "its user on surface home" in words
    assert "not known to be flagged" in words
    assert f"of experiment feed, bucket {bucket}" in words
    assert "its user in arm control of experiment feed" in words
    assert "\x1b" not in words
    assert f"{topic}[0]@5" in words


def test_an_event_that_is_nowhere_and_one_that_is_not_counted_yet(stack: Settings, tmp_path: Path) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    produce(stack, [event("1", event_id=first)])
    (alone,) = explain(stack, first)["records"]
    assert (alone["outcome"], alone["flushed"]) == (None, False)
    assert "no worker has begun" in alone["unknown"]
    with workers(stack, tmp_path) as start:
        worker = start()
        wait_caught_up(stack)
        assert worker.stop() == 0
    produce(stack, [event("2", event_id=second)])
    (waiting,) = explain(stack, second)["records"]
    assert (waiting["outcome"], waiting["flushed"], waiting["position"]) == ("counted", False, 1)
    assert "1 behind" in here(stack, COMMAND, second)

    nothing = explain(stack, str(uuid.uuid4()), code=1)
    assert {(each["from"], each["to"]) for each in nothing["searched"]} == {(0, 0), (0, 2)}
    assert not nothing["found"]
    assert "not found" in here(stack, COMMAND, "no-such-id", code=1)
    assert explain(stack, first, "--since-hours", "inf") == explain(stack, first)
    none = explain(stack, first, "--since-hours", "0", code=1)
    assert {each["from"] - each["to"] for each in none["searched"]} == {0}


def test_what_retention_took_is_named_and_its_dead_letter_is_shown(stack: Settings, tmp_path: Path) -> None:
    gone = str(uuid.uuid4())
    topic = stack.topics.names[Action.SAVE]
    produce(stack, [event("x", event_id=gone), event("1")])
    with workers(stack, tmp_path) as start:
        start()
        wait_caught_up(stack)
    with open_admin(stack.kafka) as admin:
        admin.delete_records({TopicPartition(topic, 0): 1})
    found = explain(stack, gone)
    assert found["records"] == []
    (letter,) = found["letters"]
    assert (letter["offset"], letter["outcome"]) == (0, "invalid")
    assert found["kept_from"] == [{"source": f"{topic}[0]", "offset": 1}]
