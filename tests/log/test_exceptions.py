"""Of an exception the log shows what quotes no record: never what a conversion could not convert."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition
from clickhouse_driver.errors import CannotParseUuidError, ServerException, TypeMismatchError
from pydantic import TypeAdapter

from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.errors import translate
from pintally.streams.log.exceptions import HIDDEN, named, trace_of

PERSON, MAIL = "918475561234567", "ada.lovelace@example.org"


def caught(call: Callable[[], Any]) -> BaseException:
    try:
        call()
    except Exception as error:  # noqa: BLE001  each kind of error is looked at
        return error
    raise AssertionError("it raised nothing")


def raises(error: BaseException) -> Any:
    raise error


QUOTING: dict[str, Callable[[], Any]] = {
    "int": lambda: int(f"x{PERSON}"),
    "float": lambda: float(MAIL),
    "mapping": lambda: dict[str, int]()[MAIL],
    "json": lambda: json.loads(f'{{"user_id": {PERSON},}}'),
    "utf-8": lambda: f"{MAIL}".encode().join([b"\xff"]).decode(),
    "model": lambda: TypeAdapter(int).validate_python(MAIL),
    "dtype": lambda: np.dtype(MAIL),
    "attribute": lambda: getattr("", PERSON),
    "module": lambda: __import__(MAIL),
    "unhashable": lambda: {[PERSON]: 1},
    "assert": lambda: raises(AssertionError(f"{PERSON} is not {MAIL}")),
    "own kind": lambda: raises(type("Odd", (RuntimeError,), {})(MAIL)),
    "driver, a value": lambda: raises(TypeMismatchError(f'Type mismatch in VALUES: {MAIL} for column "value"')),
    "driver, a uuid": lambda: raises(CannotParseUuidError(f"Cannot parse uuid '{PERSON}'")),
    "server": lambda: raises(ServerException(f"DB::Exception: Cannot parse string '{PERSON}' as UInt8", 6)),
    "runtime": lambda: raises(RuntimeError(f"Task got bad yield: '{MAIL}', \"{PERSON}\", b'{MAIL}', {PERSON}")),
}


@pytest.mark.parametrize("kind", QUOTING)
def test_what_an_error_quotes_is_left_out_of_its_line_and_its_traceback(kind: str) -> None:
    error = caught(QUOTING[kind])
    shown = named(error) + trace_of(error)
    assert type(error).__name__ in shown
    assert PERSON not in shown
    assert MAIL not in shown
    assert "test_exceptions.py" in shown, "the traceback says where"


def test_errors_that_an_error_came_from_are_treated_alike() -> None:
    def fail() -> None:
        try:
            int(PERSON + "x")
        except ValueError as error:
            raise TypeError("the field is no number") from error

    shown = trace_of(caught(fail))
    assert shown.index(f"ValueError {HIDDEN}") < shown.index("TypeError: the field is no number")
    assert PERSON not in shown


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PintallyError("saves is gone", "Run `pintally migrate`."), "saves is gone Run `pintally migrate`."),
        (KafkaConnectionError("Connection at 10.0.0.1:9092 closed"), "10.0.0.1:9092"),
        (TopicAuthorizationFailedError("engagement.save.v1"), "engagement.save.v1"),
        (OffsetOutOfRangeError({TopicPartition("saves", 0): 1234567}), "1234567"),
        (ConnectionRefusedError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (FileNotFoundError(2, "No such file or directory", "/etc/ca.pem"), "/etc/ca.pem"),
        (AttributeError("'NoneType' object has no attribute 'end'"), "'NoneType' object has no attribute 'end'"),
        (ZeroDivisionError("division by zero"), "division by zero"),
        (RuntimeError("Event loop is closed"), "Event loop is closed"),
    ],
)  # fmt: skip
def test_what_helps_and_quotes_no_record_is_shown(error: BaseException, words: str) -> None:
    assert words in named(error)


ADDRESS = ClickHouseAddress()


def test_of_a_server_that_was_given_records_only_the_number_of_its_error_is_kept() -> None:
    said = f"DB::Exception: Constraint `c` is violated: Column values: value = '{MAIL}'. (VIOLATED_CONSTRAINT)"
    quoting = translate(ServerException(said, 469), ADDRESS)
    quiet = translate(ServerException(said, 469), ADDRESS, may_quote=True)
    assert MAIL in quoting.what, "the server quotes what it was given"
    assert MAIL not in str(quiet)
    assert "error 469" in quiet.what


def test_the_drivers_own_errors_do_not_quote_values() -> None:
    for error in (TypeMismatchError(f"got {MAIL}"), CannotParseUuidError(f"Cannot parse uuid '{MAIL}'")):
        assert MAIL not in str(translate(error, ADDRESS))
