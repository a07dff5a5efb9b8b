"""docs/counting-rules.md and the code agree: what is cited is a rule, and what a rule names is there and cites it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "counting-rules.md"
CONTRACT = ROOT / "schemas" / "events.py"
CODE = ("schemas", "sinks", "streams", "pintally")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

CITED = re.compile(r"\b([CE])([0-9]{1,2})\b(?: to \1([0-9]{1,2})\b)?")
# One control turns nothing red by itself: the session watch ends a worker first. It is part of `sleepers-come-back`.
NOT_ALONE = {"kept-state-never-checked"}
NUMBERED = re.compile(r"\b[Rr]ules?\s+(?:#\s*)?[0-9]")


@dataclass(frozen=True)
class Rule:
    """One section of the page: its bullets, by the word before the colon."""

    name: str
    bullets: dict[str, str]

    def quoted(self, bullet: str) -> list[str]:
        return re.findall(r"`([^`]+)`", self.bullets.get(bullet, ""))


def _rules() -> Iterator[Rule]:
    for section in re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
        bullets = re.findall(r"^- (\w+):\s+(.*?)(?=^- |\Z)", section, re.MULTILINE | re.DOTALL)
        yield Rule(section.split(".")[0], {word: " ".join(text.split()) for word, text in bullets})


RULES = list(_rules())


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if ".venv" not in path.parts)


def cited(text: str) -> set[str]:
    """The rules that a text names; "C1 to C4" names four."""
    return {
        f"{letter}{number}"
        for letter, first, last in CITED.findall(text)
        for number in range(int(first), int(last or first) + 1)
    }


@cache
def functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


@cache
def controls() -> set[str]:
    """The switches of real workers and those of the simulation alone, by the names that commands take."""
    found: set[object] = set()
    files = [path for path in python_files("tests/controls") if path.name != "worker.py"]  # it has faults, no controls
    for path in [*files, *(ROOT / "tests" / "simulation").rglob("*controls.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any(map(_registers, node.decorator_list)):
                found.add(node.name.replace("_", "-"))
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
                found |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    return {name for name in found if isinstance(name, str)}


def _registers(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Name) and decorator.id == "control"


def is_test(name: str) -> bool:
    """Whether there is such a test: a file, two colons, a function."""
    file, _, function = name.partition("::")
    return (ROOT / file).is_file() and function.startswith("test_") and function in functions(ROOT / file)


def contract_rules() -> set[str]:
    return set(re.findall(r"^(E[0-9]+)\. ", ast.get_docstring(ast.parse(CONTRACT.read_text())) or "", re.MULTILINE))


def test_the_page_has_each_rule_once_and_in_order() -> None:
    assert [rule.name for rule in RULES] == [f"C{number}" for number in range(1, len(RULES) + 1)]
    assert len(RULES) >= 25


def test_whoever_names_all_rules_names_the_last_one() -> None:
    named = {str(path): re.findall(r"\bC1 to C([0-9]+)", path.read_text()) for path in DOCUMENTS}
    assert any(named.values())
    assert {path: last for path, last in named.items() if set(last) - {str(len(RULES))}} == {}


def test_each_rule_of_the_contract_is_numbered() -> None:
    assert contract_rules() == {f"E{number}" for number in range(1, 13)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_controls_that_exist_or_says_why_there_is_none(rule: Rule) -> None:
    text, named = rule.bullets["Control"], rule.quoted("Control")
    if text.startswith("none; "):
        named = [name for name in named if "::" in name]
    else:
        assert named
    assert [name for name in named if not (is_test(name) if "::" in name else name in controls())] == []
    files = [(ROOT / name.partition("::")[0]).read_text() for name in named if "::" in name]
    assert [words for words in re.findall(r'"([^"]+)"', text) if not any(words in file for file in files)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_tests_that_exist(rule: Rule) -> None:
    assert rule.quoted("Test")
    assert [name for name in rule.quoted("Test") if not is_test(name)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_files_that_exist_and_one_of_them_cites_it(rule: Rule) -> None:
    files = [ROOT / name for name in rule.quoted("Code")]
    assert [file for file in files if not file.is_file()] == []
    assert any(rule.name in cited(file.read_text()) for file in files if file.suffix == ".py")


def test_each_control_belongs_to_a_rule() -> None:
    assert controls()
    assert controls() - {name for rule in RULES for name in rule.quoted("Control")} - NOT_ALONE == set()


def test_what_is_cited_is_a_rule_and_has_its_letter() -> None:
    known = {rule.name for rule in RULES} | contract_rules()
    texts = {path: path.read_text() for path in [*python_files(*CODE, "tests", "bench"), *DOCUMENTS]}
    assert {str(path): unknown for path, text in texts.items() if (unknown := cited(text) - known)} == {}
    without_letter = {str(path): found for path, text in texts.items() if (found := NUMBERED.findall(text))}
    assert without_letter == {}, "cite a rule as C7, one of the contract as E7"
