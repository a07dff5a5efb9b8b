"""A dead-letter topic that takes nothing stops its worker: page and log name topic, cause and command."""

import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from kafka import KafkaProducer

from pintally.schemas.actions import Action, dead_letter_topic
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from pintally.tools.engines.ports import LOOPBACK, free_port
from tests.e2e.running import verify, wait_caught_up, wait_for, workers
from tests.serve.serving import serving


def break_and_mend(settings: Settings, topic: str) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """By the first words of the cause: what makes the topic refuse, and what the command that is named does."""

    def configured(name: str, value: str) -> Callable[[], object]:
        return partial(set_topic_configs, settings.kafka, {topic: {name: value}})

    def deleted() -> None:
        with open_admin(settings.kafka) as admin:
            admin.delete_topics([topic])
            wait_for(lambda: topic not in admin.list_topics(), 30, "the topic is deleted")

    return {
        "its max.message.bytes is too small": (
            configured("max.message.bytes", "80"), configured("max.message.bytes", "1048588"),
        ),
        "the topic does not exist": (deleted, lambda: create_topics(*settings.sources)),
    }  # fmt: skip


def test_the_page_and_the_log_name_the_topic_the_cause_and_the_command(stack: Settings, tmp_path: Path) -> None:
    source = Action.SAVE.topic(stack.topics.topic_prefix)
    topic, port = dead_letter_topic(source), free_port([])
    settings = stack.changed(metrics_port=port)
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
    with serving(stack, tmp_path, serve_workers=f"{LOOPBACK}:{port}") as serve, workers(settings, tmp_path) as start:
        worker = start()
        worker.wait_ready()
        for words, (breaks, mends) in break_and_mend(stack, topic).items():
            breaks()
            producer.send(source, f"broken {uuid.uuid4()}".encode(), partition=0)
            producer.flush()
            state = serve.wait_sentence(f"^Worker .* cannot write to {topic}, .* The reason: {words}", 30)
            command = state["condition"]["command"]
            assert command == "pintally migrate" or topic in command
            wait_for(partial(worker.said, f"Run `{command}`"), 30, "the log says the command")
            assert worker.said(words)
            mends()
            serve.wait_sentence("^All records are counted", 60)
        assert worker.alive
        producer.close()
        wait_caught_up(stack)
    verify(stack)
