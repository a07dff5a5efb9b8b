"""docs/data-dictionary.md, made from the comments of the schema: `make readme` writes it, a test compares."""

from collections.abc import Iterable, Iterator

from pintally.sinks.clickhouse.dictionary import Column, Described, tables, views
from pintally.sinks.clickhouse.users import BEHIND_VIEWS
from tests.support.readme import README

PAGE = README.parent / "docs" / "data-dictionary.md"
PART = "Part of "  # how the comment of a view begins that only other views read
HEAD = """# Data dictionary

Every view that a reader may read, and the tables behind them, with all columns. `make readme` writes this page from the
comments in `sinks/clickhouse/schema`. `DESCRIBE pin_engagement_1h` shows the same comments in ClickHouse.
[The tables for data scientists](tables.md) explains how to use them."""
VIEWS = "## Views"
PARTS = """## Views that other views read

You may read them, but they show rows that do not count yet, or only a part of the counts."""
TABLES = """## Tables behind the views

A reader needs the right to read them, because views run with the rights of whoever asks. Do not add up their rows: some
hold rows of sealings that failed, or older versions of a count. The views leave these out."""


def page() -> str:
    """The whole page."""
    shown = [each for each in views().values() if not each.comment.startswith(PART)]
    shown.sort(key=lambda each: not each.name.startswith("pin_"))  # what people come for stands first
    parts = [each for each in views().values() if each.comment.startswith(PART)]
    behind = [tables()[name] for name in BEHIND_VIEWS]
    chapters = [(VIEWS, shown), (PARTS, parts), (TABLES, behind)]
    texts = [HEAD]
    first: dict[tuple[Column, ...], str] = {}
    for head, all_ in chapters:
        texts.append(head)
        for of in all_:
            same = first.setdefault(of.columns, of.name)
            texts.append(described(of, f"The columns are those of `{same}`." if same != of.name else ""))
    return "\n\n".join(texts) + "\n"


def described(of: Described, columns: str) -> str:
    """A view or a table: what it is, what it must be given, and its columns."""
    names = ", ".join(f"{name} = ..." for name, _ in of.parameters)
    needs = [f"Parameter `{name}`: {kind}." for name, kind in of.parameters]
    title = f"### `{of.name}({names})`" if names else f"### `{of.name}`"
    said = [f"{' '.join([f'{of.comment}.', *needs])}"] if of.comment else needs
    return "\n\n".join([title, *said, columns or "\n".join(table(of))])


def table(of: Described) -> Iterator[str]:
    """The lines of its table of columns."""
    yield "| Column | Type | Meaning |"
    yield "|---|---|---|"
    for each in of.columns:
        yield f"| `{each.name}` | {' | '.join(_cells((each.type, each.comment)))} |"


def _cells(texts: Iterable[str]) -> Iterator[str]:
    return (text.replace("|", "\\|") for text in texts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
