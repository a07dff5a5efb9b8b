"""A transaction that nobody ends holds a partition back: every command says so, and what ends it."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from kafka import TopicPartition

from pintally.schemas.actions import Action
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.settings import Settings
from tests.e2e.running import ASKED_S, TRANSACTION_MS, pintally, progress, wait_for, workers

OLD_MS = 20 * 60_000


@asynccontextmanager
async def open_transaction(stack: Settings, values: list[bytes], age_ms: int) -> AsyncIterator[int]:
    """Records of a transaction that is not ended before the block does, and what comes behind; its first offset."""
    topic, written = stack.topics.names[Action.SAVE], int(time.time() * 1000) - age_ms
    name = f"hanging-{uuid.uuid4().hex}"
    async with AIOKafkaProducer(
        bootstrap_servers=stack.kafka.bootstrap_servers, transactional_id=name, transaction_timeout_ms=TRANSACTION_MS
    ) as producer:
        await producer.begin_transaction()
        first = await producer.send_and_wait(topic, values[0], b"7", 0, timestamp_ms=written)
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers, acks="all") as plain:
            for value in values[1:]:
                await plain.send_and_wait(topic, value, b"7", 0, timestamp_ms=written)
        try:
            yield first.offset
        finally:
            await producer.abort_transaction()


def event(event_id: str) -> bytes:
    return json.dumps(
        {"event_id": event_id, "action": "save", "pin_id": "7", "user_id": "1", "occurred_at": int(time.time() * 1000)}
    ).encode()


def stamped_by_producers(stack: Settings) -> None:
    """So that a transaction can be old without anybody waiting."""
    skew = str(stack.rules.to_rules().max_clock_skew_ms)
    wanted = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": skew}
    set_topic_configs(stack.kafka, dict.fromkeys(stack.topics.names.values(), wanted))


def run(stack: Settings, *arguments: str) -> tuple[int, str]:
    done = pintally(stack, *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_status_explain_and_verify_say_what_is_waited_for(stack: Settings) -> None:
    stamped_by_producers(stack)
    inside, behind = str(uuid.uuid4()), str(uuid.uuid4())

    async def look() -> dict[str, Any]:
        async with open_transaction(stack, [event(inside), event(behind)], OLD_MS) as offset:
            commands = {
                "status": ("status",),
                "json": ("status", "--json"),
                "inside": ("explain", inside),
                "behind": ("explain", behind),
                "nowhere": ("explain", str(uuid.uuid4())),
                "verify": ("verify",),
            }
            said = await asyncio.gather(*(asyncio.to_thread(run, stack, *arguments) for arguments in commands.values()))
            return dict(zip(commands, said, strict=True)) | {"offset": offset}

    said = asyncio.run(look())
    topic = stack.topics.names[Action.SAVE]
    remedy = f"abort --topic {topic} --partition 0 --start-offset {said['offset']}"
    for name, code in {"status": 0, "inside": 0, "behind": 0, "nowhere": 1, "verify": 2}.items():
        assert said[name][0] == code, said[name]
        assert "open transaction" in said[name][1], said[name]
        assert remedy in said[name][1], said[name]
    assert "its producer, id " in said["status"][1]
    assert "wrote last" in said["status"][1]
    [waiting] = json.loads(said["json"][1])["waiting"]
    assert (waiting["source"], waiting["offset"], waiting["log_end"]) == (
        f"{topic}[0]",
        said["offset"],
        said["offset"] + 2,
    )
    assert "not found" not in said["behind"][1]
    assert "not found" in said["nowhere"][1]
    assert "nothing has been counted yet" in said["verify"][1]


@pytest.mark.timeout(300)
def test_a_transaction_that_goes_on_alarms_nobody_and_one_that_is_aborted_lets_counting_go_on(
    stack: Settings, tmp_path: Path
) -> None:
    event_id = str(uuid.uuid4())

    async def look() -> tuple[tuple[int, str], int]:
        async with open_transaction(stack, [event(str(uuid.uuid4())), event(event_id)], 0) as offset:
            return await asyncio.to_thread(run, stack, "status"), offset

    async def abort(offset: int) -> None:
        at = TopicPartition(stack.topics.names[Action.SAVE], 0)
        with open_admin(stack.kafka) as admin:
            assert not [
                each
                for each in admin.describe_producers([at])[at].active_producers
                if each.current_transaction_start_offset == offset
            ]

    with workers(stack, tmp_path) as start:
        start()
        (code, said), offset = asyncio.run(look())
        assert code == 0
        assert "open transaction" not in said
        asyncio.run(abort(offset))
        wait_for(lambda: len(set(progress(stack))) == 1, 60, "all is counted", ASKED_S)
        assert run(stack, "verify")[0] == 0
        assert run(stack, "explain", event_id)[0] == 0
