"""Two workers with one `--instance` take each other's place again and again: the one that is replaced says so and ends.

Touches aiokafka internals (0.14): `GroupCoordinator._send_req`, `member_id`. Kafka answers to a member whose instance
another one has taken as to one that it has forgotten, and aiokafka would join again and replace the other. So Kafka is
asked who has the instance now. A worker that was restarted under its name hears nothing of this: the old one is gone.
"""

import asyncio
from typing import Any

from kafka.errors import KafkaError

from pintally.schemas.errors import PintallyError
from pintally.streams.kafka.admin import open_admin
from pintally.streams.settings import Settings
from pintally.streams.worker.process import refuse

UNKNOWN_MEMBER, FENCED_INSTANCE = 25, 82  # Kafka's error codes


class InstanceTaken(PintallyError):
    """Another worker runs under our instance name."""


def watch_instance(coordinator: Any, settings: Settings) -> None:
    """End this process with exit code 2 when another member of the group has its instance name."""
    send = coordinator._send_req

    async def send_and_look(request: Any) -> Any:
        mine = coordinator.member_id
        response = await send(request)
        is_out = mine and getattr(response, "error_code", 0) in (UNKNOWN_MEMBER, FENCED_INSTANCE)
        if is_out and (taken := await asyncio.to_thread(find_other, settings, mine)):
            refuse(taken)
        return response

    coordinator._send_req = send_and_look


def find_other(settings: Settings, mine: str) -> InstanceTaken | None:
    """The other member that has our instance name, if Kafka knows one. `mine` is our member id. Blocking."""
    try:
        with open_admin(settings) as admin:
            group = admin.describe_groups([settings.kafka.group_id])[settings.kafka.group_id]
    except (PintallyError, KafkaError):  # it is asked again with the next heartbeat
        return None
    for member in group.get("members") or ():
        if member.get("group_instance_id") == settings.kafka.group_instance_id and member["member_id"] != mine:
            host = str(member.get("client_host", "")).lstrip("/") or "an unknown host"
            return InstanceTaken(
                f"another worker runs with --instance {settings.kafka.group_instance_id} in group "
                f"{settings.kafka.group_id}, on {host}, and has taken this one's place",
                "Give each worker a name of its own (--instance, PINTALLY_KAFKA_GROUP_INSTANCE_ID), or none.",
            )
    return None
