"""A broker that makes its offsets topic, as a new one does at the first question about a group."""

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError

from pintally.schemas.errors import KafkaUnavailable
from pintally.streams.kafka.needed_rights import refuse_missing_rights
from pintally.streams.settings import Settings

PASSING = (CoordinatorNotAvailableError, NotCoordinatorError, CoordinatorLoadInProgressError)


def test_a_worker_does_not_take_a_new_broker_for_one_that_is_away(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, said = KafkaAdminClient.remove_group_members, iter(PASSING)

    def remove(admin: KafkaAdminClient, *args: object) -> object:
        for error in said:
            raise error("LeaveGroupRequest failed")
        return real(admin, *args)

    monkeypatch.setattr(KafkaAdminClient, "remove_group_members", remove)
    refuse_missing_rights(stack.kafka, stack.topics)
    assert next(said, None) is None


def test_one_that_never_gets_there_is_away(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pintally.streams.kafka.admin.ANSWER_SECONDS", 0.3)

    def remove(*_: object) -> None:
        raise NotCoordinatorError("LeaveGroupRequest failed")

    monkeypatch.setattr(KafkaAdminClient, "remove_group_members", remove)
    with pytest.raises(KafkaUnavailable):
        refuse_missing_rights(stack.kafka, stack.topics)
