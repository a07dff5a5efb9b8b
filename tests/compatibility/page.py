"""The tables of docs/compatibility.md, made from the code and the tests: `make readme` writes them, a test compares."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.compatibility.claims import CLICKHOUSE_BY, KAFKA_BY
from tests.compatibility.refusals import said_at_start, shortened
from tests.compatibility.runs import CLICKHOUSE, KAFKA, PYTHON, Run
from tests.compatibility.topic_settings import CASES
from tests.compatibility.versions import PINNED, kafka_locks, lowest_supported

PAGE = Path(__file__).parent.parent.parent / "docs" / "compatibility.md"


def tables() -> dict[str, str]:
    """Name of the table, as its marks in the page have it -> its lines."""
    return {
        "Kafka": kafka_table(),
        "run on Kafka": claims_table(KAFKA_BY),
        "topics": topics_table(),
        "ClickHouse": runs_table("ClickHouse", CLICKHOUSE),
        "run on ClickHouse": claims_table(CLICKHOUSE_BY),
        "Python": runs_table("Python", PYTHON),
        "refusals": refusals_table(),
    }


def kafka_table() -> str:
    """Each version that has a lock, and what came out."""
    always = {
        PINNED: "the whole suite, in each run of it",
        lowest_supported(): f"{_linked('tests/compatibility/test_lowest_kafka.py')}, in each run of the suite",
    }
    rows = []
    for version in kafka_locks():
        runs = [run for run in KAFKA if run.version == version]
        result = runs[0].result if runs else "counts exactly"
        how = [always[version]] if version in always else []
        rows.append((version, result, "; ".join([*how, *(run.how for run in runs)])))
    return _table(("Kafka", "Result", "Shown by"), rows)


def claims_table(claims: Mapping[str, Iterable[str]]) -> str:
    """What `python -m tests.compatibility` runs on a version."""
    rows = [(what, ", ".join(_linked(file) for file in sorted(_files(shown)))) for what, shown in claims.items()]
    return _table(("What", "Tests"), rows)


def topics_table() -> str:
    """Settings of topics."""
    rows = [
        (", ".join(f"`{name}={value}`" for name, value in case.configs.items()), case.outcome, case.why)
        for case in CASES
    ]
    return _table(("A topic of events with", "Is", "Why"), rows)


def runs_table(what: str, runs: Iterable[Run]) -> str:
    """What was run by hand."""
    return _table((what, "Result", "Shown by"), [(run.version, run.result, run.how) for run in runs])


def refusals_table() -> str:
    """All that a start can end with."""
    rows = [
        (_plain(shortened(said.what)), str(said.exit_code), _plain(shortened(said.remedy))) for said in said_at_start()
    ]
    return _table(("It says", "Exit code", "And what to do"), rows)


def with_tables(text: str) -> str:
    """The page's text with each marked table made again."""
    for name, table in tables().items():
        begin, end = f"<!-- {name}: written by `make readme` -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        if not found:
            raise ValueError(f"{PAGE.name} has no mark for the table {name!r}")
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{table}\n\n{end}{after}"
    return text


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines])


def _files(shown: Iterable[str]) -> set[str]:
    return {each.partition("::")[0] for each in shown}


def _linked(file: str) -> str:
    return f"[{Path(file).name}](../{file})"


def _plain(text: str) -> str:
    """For a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
