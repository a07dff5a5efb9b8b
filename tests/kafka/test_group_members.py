"""Who is in the group, while Kafka has just come up and does not know it yet."""

from typing import Any, cast

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import RequestTimedOutError

from pintally.schemas.errors import KafkaRefused
from pintally.streams.kafka.topics import members_by
from pintally.streams.settings import KafkaSettings

LOADING = "[Error 14] CoordinatorLoadInProgressError: None"
MEMBERS = ({"client_id": "one"},)


class Answers:
    """An admin client that gives these errors, one after the other, and then the members."""

    def __init__(self, *errors: str) -> None:
        self._errors = list(errors)

    def describe_groups(self, groups: list[str]) -> dict[str, Any]:
        return {groups[0]: {"error": self._errors.pop(0) if self._errors else None, "members": MEMBERS}}


def members(*errors: str) -> Any:
    return members_by(cast(KafkaAdminClient, Answers(*errors)), KafkaSettings())


@pytest.mark.parametrize("error", [LOADING, "[Error 16] NotCoordinatorError: None"])
def test_a_coordinator_that_is_loading_is_asked_again(error: str) -> None:
    assert members(error, error) == MEMBERS


def test_another_error_that_passes_is_no_refusal() -> None:
    with pytest.raises(RequestTimedOutError):  # `open_admin` makes it KafkaUnavailable
        members("[Error 7] RequestTimedOutError: None")


@pytest.mark.parametrize("error", ["[Error 24] InvalidGroupIdError: None", "[Error 1] SomethingElseError: None"])
def test_an_error_that_stays_is_a_refusal(error: str) -> None:
    with pytest.raises(KafkaRefused, match="does not describe group pintally"):
        members(error)
