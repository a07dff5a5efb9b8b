"""Why an audit has no verdict."""


class CannotTell(Exception):
    """Something without which the audit cannot say yes or no: names it, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  {self.remedy}"


class CannotTellNow(CannotTell):
    """What goes away by itself, as Kafka that does not answer: run it again."""
