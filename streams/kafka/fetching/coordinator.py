"""aiokafka's membership in a group, heard by whoever must know what becomes of it.

Its coordinator would join again in silence whatever happened, and tell the next caller of the consumer, who may not
call for ever.
"""

from typing import Any, Protocol

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import JoinGroupRequest

OK, UNKNOWN_MEMBER, FENCED_INSTANCE = 0, 25, 82  # Kafka's error codes


class GroupListener(Protocol):
    """What is told, in the consumer's own thread."""

    def answered(self) -> None:
        """Kafka answered a heartbeat, or a join is complete."""

    def unanswered(self) -> None:
        """Kafka did not answer a heartbeat."""

    def failed(self, error: BaseException) -> None:
        """The coordinator met an error that it cannot mend."""

    async def forgotten(self, member_id: str) -> None:
        """Kafka does not know this member of the group, which it was, or has fenced it; aiokafka will join again."""


class ObservedCoordinator(GroupCoordinator):
    """A coordinator with a listener. A static member that is the group leader is still the leader after a restart.

    When a static member restarts within its session, Kafka returns its old assignment and starts no rebalance. As the
    leader it names the member id from before the restart, so no member watches for new topics and partitions. Therefore
    such a member joins a second time: Kafka starts a rebalance if it is the leader, and changes nothing if it is not.

    A static member that joins without a member id takes the place of whoever has its instance id. So it does that at
    its start, and later only after Kafka has forgotten it and the listener has heard of it. Else of two members of one
    name the older one could take its place back.
    """

    member_id: str

    def __init__(self, listener: GroupListener, *args: Any, **kwargs: Any) -> None:
        self._group_listener = listener
        self._forgotten = False  # by Kafka, and it has not joined anew since
        super().__init__(*args, **kwargs)

    def reset_generation(self) -> None:
        """Join again; a static member as the member that it is, unless Kafka has forgotten it."""
        member_id, known = self.member_id, self._group_instance_id is not None and not self._forgotten
        super().reset_generation()
        self._forgotten = False
        if known:
            self.member_id = member_id

    async def _do_heartbeat(self) -> bool:
        answered: bool = await super()._do_heartbeat()
        if answered:
            self._group_listener.answered()
        elif self.generation >= 0 and self.coordinator_id is not None:  # else Kafka has answered
            self._group_listener.unanswered()
        return answered

    async def _on_join_complete(self, *args: Any) -> None:
        self._group_listener.answered()
        await super()._on_join_complete(*args)

    def _push_error_to_user(self, exc: BaseException) -> Any:
        self._group_listener.failed(exc)
        return super()._push_error_to_user(exc)

    async def _send_req(self, request: Any) -> Any:
        mine = self.member_id
        response = await super()._send_req(request)
        if isinstance(request, JoinGroupRequest) and not mine and self._group_instance_id and follows(response):
            self.member_id = request._member_id = mine = response.member_id
            response = await super()._send_req(request)
        if mine and not errors_of(request, response).isdisjoint((UNKNOWN_MEMBER, FENCED_INSTANCE)):
            await self._group_listener.forgotten(mine)
            self._forgotten = True
        return response


def follows(joined: Any) -> bool:
    """Whether the answer to a join names another member as the leader."""
    return bool(joined.error_code == OK and joined.leader_id != joined.member_id)


def errors_of(request: Any, response: Any) -> set[int]:
    """The error codes in an answer of the group's coordinator. To a commit it gives one for each partition."""
    if isinstance(request, OffsetCommitRequest):
        return {code for _, partitions in response.topics for _, code in partitions}
    return {getattr(response, "error_code", OK)}
