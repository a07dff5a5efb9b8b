"""A topic that Kafka gives no UUID is refused: whether it was made again could not be told."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from pintally.streams.kafka.topics import TopicRefused, _info

CONFIG = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete"}


def described(topic_id: Any) -> dict[str, Any]:
    partitions = [{"replica_nodes": [1, 2, 3]}, {"replica_nodes": [1, 2]}]
    return {"name": "engagement.save.v1", "topic_id": topic_id, "partitions": partitions}


@pytest.mark.parametrize("nothing", [None, UUID(int=0), str(UUID(int=0)), "0", ""])
def test_a_topic_without_a_uuid_is_named_with_the_setting_to_change(nothing: Any) -> None:
    with pytest.raises(TopicRefused) as refused:
        _info(described(nothing), CONFIG)
    assert "engagement.save.v1 has no UUID" in refused.value.what
    assert "inter.broker.protocol.version" in refused.value.remedy


def test_a_uuid_is_taken_as_it_is() -> None:
    some = uuid4()
    assert _info(described(some), CONFIG).topic_id == _info(described(str(some)), CONFIG).topic_id == some


def test_a_topic_has_as_many_replicas_as_its_partition_with_the_fewest() -> None:
    assert _info(described(uuid4()), CONFIG).replicas == 2
