"""Exit code 2 is for a person alone: what goes away by itself is told apart, also in what an audit could not tell."""

import pytest

from pintally.audit.source_audit import SourceReport
from pintally.audit.verify import Report
from pintally.schemas.errors import KafkaRefused, KafkaUnavailable, SinkError, SinkUnavailable


@pytest.mark.parametrize(
    ("error", "code"), [(KafkaUnavailable, 75), (SinkUnavailable, 75), (KafkaRefused, 2), (SinkError, 2)]
)
def test_who_does_not_answer_is_asked_again_and_who_refuses_needs_a_person(error: type, code: int) -> None:
    assert error("named").exit_code == code


@pytest.mark.parametrize(
    ("unverifiable", "passing", "code"),
    [([], [], 0), (["silent"], ["silent"], 75), (["silent", "gone"], ["silent"], 2), (["gone"], [], 2)],
)
def test_an_audit_is_to_be_run_again_only_if_nothing_else_stands_in_its_way(
    unverifiable: list[str], passing: list[str], code: int
) -> None:
    report = Report(sources=[SourceReport("saves[0]")], unverifiable=unverifiable, transient=passing)
    assert report.exit_code == code
