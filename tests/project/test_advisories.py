"""What the audit of the dependencies makes of pip-audit's answers."""

from pathlib import Path

import pytest

from tests.support import advisories
from tests.support.advisories import Verdict, judge

ANSWER = {
    "dependencies": [
        {"name": "sound", "version": "1", "vulns": []},
        {"name": "hollow", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]},
        {"name": "strange", "skip_reason": "Dependency not found"},
    ]
}


def test_a_known_vulnerability_is_named_with_its_remedy() -> None:
    assert judge(ANSWER) == Verdict(("hollow 2: PYSEC-1 (fixed in 2.1)",), 2, ("strange",))


@pytest.mark.parametrize(
    ("verdict", "code", "said"),
    [
        (Verdict(("hollow 2: PYSEC-1",), 2, ()), 1, "PYSEC-1"),
        (Verdict((), 2, ()), 0, "2 packages audited"),
        (None, 0, "NOT AUDITED"),
    ],
)
def test_only_a_known_vulnerability_fails_and_silence_is_said(
    verdict: Verdict | None,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("PINTALLY_REQUIRE_AUDIT", raising=False)
    monkeypatch.setattr(advisories, "audit", lambda _lock, _service: verdict)
    assert advisories.main(Path()) == code
    assert said in capsys.readouterr().out


def test_silence_fails_where_an_answer_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINTALLY_REQUIRE_AUDIT", "1")
    monkeypatch.setattr(advisories, "audit", lambda _lock, _service: None)
    assert advisories.main(Path()) == 1
