"""Asks for confirmation before a change that cannot be undone."""

import sys

import typer

from pintally.schemas.errors import PintallyError


def agree(yes: bool, question: str) -> None:
    """Return if the person agrees, or gave --yes; else exit with 2. Raises PintallyError without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise PintallyError("this change must be confirmed, and there is no terminal to ask at", "Run it with --yes.")
    if not typer.confirm(question):
        print("nothing was changed", file=sys.stderr)
        raise typer.Exit(2)
