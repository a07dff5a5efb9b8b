"""What readers of each replica must see at any moment while hours are sealed."""

from collections.abc import Set

from tests.simulation.replicas import Replica, Replicas
from tests.simulation.sealing.tables import DAY, HOUR, Tables


class Wrong(AssertionError):
    """Readers of some replica see what does not add up, or is said to be final and is not."""


class Readers:
    """One on each replica.

    A replica that was away, or is being cloned, is read again once it has all that it knows of. Hours that are being
    corrected are `disturbed`: minutes of other replicas may come before the row that opens them.
    """

    everywhere = True  # a control looks only at what all replicas together have

    def __init__(self, replicas: Replicas[Tables]) -> None:
        self.replicas = replicas
        self.behind: set[int] = set()  # replicas that were away
        self._seen: object = None

    def look(self, hours: range, disturbed: Set[int]) -> None:
        """Raises Wrong."""
        read = [self._is_read(number, replica) for number, replica in enumerate(self.replicas.each)]
        seen = self.replicas.changes, read, set(disturbed)
        if seen == self._seen:
            return
        self._seen, union = seen, self.replicas.union()
        for number, replica in enumerate(self.replicas.each):
            if self.everywhere and read[number]:
                look_at(replica.sink, union, hours, disturbed, f"replica {number}")
        if not any(replica.lags for replica in self.replicas.each):
            look_at(union, union, hours, disturbed, "all replicas")

    def _is_read(self, number: int, replica: Replica[Tables]) -> bool:
        if replica.away or not replica.is_cloned:
            self.behind.add(number)
        elif not replica.lags:
            self.behind.discard(number)
        return number not in self.behind


def look_at(tables: Tables, union: Tables, hours: range, disturbed: Set[int], who: str) -> None:
    """Hours are the sums of their minutes, and final ones are complete. Raises Wrong."""
    final = [hour for hour in hours if hour < tables.sealed_until and hour not in disturbed]
    for hour in final:
        minutes = tables.cells(hour, hour + HOUR)
        if (shown := tables.shown("hour", hour)) != minutes:
            raise Wrong(f"{who}: hour {hour} shows {shown}, its minutes are {minutes}")
        whole = union.cells(hour, hour + HOUR)
        if ("hour", hour) in tables.sealed and minutes != whole:
            raise Wrong(f"{who}: hour {hour} is final with {minutes}, all together have {whole}")
    for day in sorted({hour // DAY * DAY for hour in final} - {hour // DAY * DAY for hour in disturbed}):
        if (shown := tables.shown("day", day)) != (minutes := tables.cells(day, day + DAY)):
            raise Wrong(f"{who}: day {day} shows {shown}, its minutes are {minutes}")
