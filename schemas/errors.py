"""The root of our errors: each names the thing, the value and the remedy."""


class PintallyError(Exception):
    """Something a person must mend. The command prints `what` and `remedy`, without a traceback, and exits 2."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  {self.remedy}" if self.remedy else self.what
