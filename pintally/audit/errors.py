"""Why the audit cannot tell whether counts are right."""


class CannotTell(Exception):
    """The audit cannot tell: `what` is missing, and `remedy` says what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  {self.remedy}"


class CannotTellNow(CannotTell):
    """The audit cannot tell now, for example because Kafka does not answer. Trying again may help."""
