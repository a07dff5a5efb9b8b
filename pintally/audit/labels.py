"""Labels of events as numbers, and the label that each counts under (C29).

A surface or a platform counts under its own label if that is among the first KEPT different ones of the counted records
of its slice, by offset. Any other counts as OTHER, a missing one as UNKNOWN. Those two take no place of the KEPT, and a
producer who writes them means them.

A label has up to 256 bytes. Rows that are compared have DIGEST_BYTES of its SHA-256 instead, so that they are of one
size.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT = 256
OTHER, UNKNOWN = "other", "unknown"
DIGEST_BYTES = 16
DIGEST_SQL = f"toFixedString(substring(SHA256({{}}), 1, {DIGEST_BYTES}), {DIGEST_BYTES})"
DIGEST = f"V{DIGEST_BYTES}"
_PLACELESS = (None, OTHER, UNKNOWN)


class Labels(dict[str | None, int]):
    """The number of each label, in the order in which they came; 0 is that of an event without one."""

    def __init__(self) -> None:
        super().__init__({None: 0})

    def __missing__(self, label: str | None) -> int:
        number = self[label] = len(self)
        return number

    def numbers(self, labels: list[str | None]) -> NDArray[np.uint32]:
        """The numbers of some labels; new labels get the next ones."""
        return np.fromiter(map(self.__getitem__, labels), np.uint32, len(labels))


def digest(label: str) -> bytes:
    """What stands for a label in rows that are compared."""
    return sha256(label.encode()).digest()[:DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Counted:
    """The labels under which the records of a slice count, ascending by digest."""

    names: tuple[str, ...]
    places: NDArray[np.uint16]  # of each counted record: the place of its label in `names`
    kept: frozenset[str]  # those that count under their own name

    @property
    def digests(self) -> NDArray[Any]:
        """The digests of the names."""
        return np.array([digest(name) for name in self.names], DIGEST)

    def name(self, label: str | None) -> str:
        """The label under which a record of this slice with `label` counts, or would count as its last one."""
        return _name(label, label in self.kept or len(self.kept) < KEPT)


def _name(label: str | None, is_kept: bool) -> str:
    if label is None or label in _PLACELESS:
        return label or UNKNOWN
    return label if is_kept else OTHER


def counted_as(labels: Labels, numbers: NDArray[np.uint32]) -> Counted:
    """The labels that the counted records of a slice count under. `numbers` are of their labels, by offset."""
    firsts = np.full(len(labels), len(numbers))
    firsts[numbers[::-1]] = np.arange(len(numbers))[::-1]  # the last one that is written stays: the first of the slice
    present = np.flatnonzero(firsts < len(numbers))
    texts = list(labels)
    in_order = [texts[number] for number in present[np.argsort(firsts[present])].tolist()]
    kept = frozenset([text for text in in_order if text not in _PLACELESS][:KEPT])
    named = {text: _name(text, text in kept) for text in in_order}
    names = tuple(sorted(set(named.values()), key=digest))
    place = {name: number for number, name in enumerate(names)}
    place_of = np.zeros(len(labels), np.uint16)
    place_of[present] = [place[named[texts[number]]] for number in present.tolist()]
    return Counted(names, place_of[numbers], kept)


def unnamed(records: int) -> Counted:
    """All records count as UNKNOWN: rules without a breakdown."""
    return Counted((UNKNOWN,), np.zeros(records, np.uint16), frozenset())
