"""A static member leaves its group: Kafka gives its partitions to the others at once, and not after its session."""

from kafka.admin import MemberToRemove

from pintally.streams.kafka.admin import open_admin
from pintally.streams.settings import KafkaSettings


def leave_group(kafka: KafkaSettings, member_id: str) -> None:
    """Leave. Blocking.

    Raises KafkaUnavailable, and KafkaError if Kafka refuses it, as when another member has the instance name by now.
    """
    member = MemberToRemove(member_id=member_id, group_instance_id=kafka.group_instance_id)
    with open_admin(kafka) as admin:
        for error in admin.remove_group_members(kafka.group_id, [member]).values():
            if error.errno:
                raise error(f"{kafka.group_instance_id} cannot leave group {kafka.group_id}")
