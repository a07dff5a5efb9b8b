"""The labels behind the digests in rows that are compared: findings name them."""

from collections.abc import Callable, Iterable

from pintally.audit.labels import OTHER, UNKNOWN, digest


class Names:
    """Labels by digest. Those that no recounted slice has are asked for, all at once, when the first is needed."""

    def __init__(self, ask: Callable[[], Iterable[str]] = tuple) -> None:
        self._ask: Callable[[], Iterable[str]] | None = ask
        self._known = {digest(label): label for label in (OTHER, UNKNOWN)}

    def learn(self, labels: Iterable[str]) -> None:
        """Add the labels of a recounted slice."""
        self._add(labels)

    def __call__(self, key: bytes) -> str:
        """The label; the digest in hexadecimal if nobody knows it."""
        if key not in self._known and self._ask is not None:
            self._add(self._ask())
            self._ask = None
        return self._known.get(key, key.hex())

    def _add(self, labels: Iterable[str]) -> None:
        self._known.update((digest(label), label) for label in labels)
