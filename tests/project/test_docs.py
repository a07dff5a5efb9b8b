"""What README.md says is so."""

import re
from pathlib import Path

import pytest

from pintally.cli import COMMANDS
from pintally.schemas.actions import Action
from pintally.schemas.events import validate
from tests.support.readme import README, with_tables

ROOT = README.parent
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_tables_in_the_readme_are_those_of_the_code() -> None:
    assert README.read_text() == with_tables(README.read_text()), "run `make readme`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text())
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_named_in_text_exist(document: Path) -> None:
    named = re.findall(r"`((?:schemas|sinks|streams|pintally|tests|bench|docs)/[\w./-]*)`", document.read_text())
    missing = [name for name in named if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_named_in_text_exist(document: Path) -> None:
    named = set(re.findall(r"(?:^|`)\$? ?pintally ([a-z-]+)", document.read_text(), re.MULTILINE))
    assert named <= set(COMMANDS)


def test_the_event_in_the_readme_is_valid() -> None:
    [example] = re.findall(r"```json\n(.*?)```", README.read_text(), re.DOTALL)
    event = validate(example.encode(), Action.SAVE)
    assert event.action == "save"


def test_make_targets_named_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", README.read_text())) <= targets
