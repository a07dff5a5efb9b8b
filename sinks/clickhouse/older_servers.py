"""Statements of migrations as servers before ClickHouse 26.7 read them. A file that was applied is never changed."""

import re

# `FROM (...) COMMENT 'text'` gives the subquery the alias COMMENT there, and the text is a syntax error.
_TAKEN_FOR_AN_ALIAS = re.compile(r"^\)(?=\s+COMMENT\s+')", re.MULTILINE)


def readable(script: str) -> str:
    """The same script, in which a subquery that stands before COMMENT has an alias. It is closed on a line of its own.

    (The parenthesis of a table's sort key also stands before COMMENT, and never on a line of its own.)
    """
    return _TAKEN_FOR_AN_ALIAS.sub(") AS these", script)
