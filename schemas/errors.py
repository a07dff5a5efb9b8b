"""The root of our errors: each names the thing, the value and the remedy."""

from typing import ClassVar

DONE = 0
DIFFERS = 1  # `verify` found a difference
FOR_A_PERSON = 2
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


class PintallyError(Exception):
    """Something a person must mend. The command prints `what` and `remedy`, without a traceback, and exits 2."""

    exit_code: ClassVar[int] = FOR_A_PERSON

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  {self.remedy}" if self.remedy else self.what


class Unavailable(PintallyError):
    """Something that goes away by itself, as Kafka that is not there yet. Whoever asks tries again; exit code 75."""

    exit_code = TRY_AGAIN


class Refusal(PintallyError):
    """The log, the ledger and the rules do not fit together; a person must decide."""


class UnknownRules(Refusal):
    """Rules of the ledger that this version cannot count by: a newer one wrote them. Who only shows goes on."""


class SinkError(PintallyError):
    """A sink refused for good: wrong address, password, database or table. Retrying does not help."""


class SinkUnavailable(SinkError, Unavailable):
    """The sink did not answer, or it is unknown whether it applied the step. Repeat the whole flush later."""


class KafkaUnavailable(Unavailable):
    """Nobody answers as Kafka at the address."""


class KafkaRefused(PintallyError):
    """Kafka answered, and said no; or what answered is no Kafka."""
