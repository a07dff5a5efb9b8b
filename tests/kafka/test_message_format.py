"""Topics that keep records in the format without timestamps are refused; all later formats are not."""

from dataclasses import replace
from uuid import UUID

import pytest

from pintally.schemas.errors import Refusal
from pintally.schemas.rules import Rules
from pintally.streams.counting.log import TopicInfo
from pintally.streams.counting.refusals import refuse_topic
from pintally.streams.kafka.topics import FOREVER_MS

TOPIC = TopicInfo("engagement.save.v1", UUID(int=7), 4, "LogAppendTime", FOREVER_MS, FOREVER_MS, "delete")


@pytest.mark.parametrize("version", ["0.8.2", "0.9.0", "0.9.0.X"])
def test_the_topic_is_named_with_its_format_and_the_command(version: str) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_topic(replace(TOPIC, message_format=version), Rules())
    assert f"message.format.version={version}" in refused.value.what
    assert "--add-config message.format.version=0.11.0" in refused.value.remedy


@pytest.mark.parametrize("version", ["", "0.10.0-IV1", "0.10.2", "0.11.0", "1.0", "2.8", "3.0-IV1"])
def test_formats_with_timestamps_are_taken(version: str) -> None:
    refuse_topic(replace(TOPIC, message_format=version), Rules())
