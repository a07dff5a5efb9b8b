"""What counts are broken down by, beside the pin: each by itself, never the product of both."""

from enum import IntEnum


class Dimension(IntEnum):
    """A column of `pin_minutes` that holds labels. The number is what ClickHouse stores; it is never changed."""

    SURFACE = 1
    PLATFORM = 2

    @property
    def column(self) -> str:
        """Its column in `pin_minutes`, and what `dimension` says in views and roll-ups."""
        return self.name.lower()
