"""A group whose coordinator still loads is asked again: it is neither empty nor refused."""

from typing import Any

import pytest

from pintally.schemas.errors import KafkaRefused
from pintally.streams.kafka.topics import members_by
from pintally.streams.settings import KafkaSettings

MEMBER = {"client_id": "faust", "member_id": "faust-1"}


class Admin:
    """Answers as the client does while a broker loads its groups, and then as told."""

    def __init__(self, *errors: str | None) -> None:
        self.errors = list(errors)

    def describe_groups(self, groups: list[str]) -> dict[str, Any]:
        return {groups[0]: {"error": self.errors.pop(0), "members": [MEMBER]}}


@pytest.mark.parametrize("error", ["CoordinatorLoadInProgressError", "NotCoordinatorError"])
def test_a_coordinator_that_loads_is_asked_again(error: str) -> None:
    admin = Admin(f"[Error 14] {error}: None", None)
    assert list(members_by(admin, KafkaSettings())) == [MEMBER]  # type: ignore[arg-type]


def test_another_error_is_no_empty_group() -> None:
    with pytest.raises(KafkaRefused, match="does not describe group pintally"):
        members_by(Admin("[Error 1] SomethingElseError: None"), KafkaSettings())  # type: ignore[arg-type]
