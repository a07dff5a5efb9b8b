"""Asks before what cannot be undone."""

import sys

import typer

from pintally.schemas.errors import PintallyError


def agree(yes: bool, question: str) -> None:
    """Return if the person agrees, or has with --yes; else exit 2. Raises PintallyError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise PintallyError("this must be confirmed, and there is no terminal to ask at", "Run it with --yes.")
    if not typer.confirm(question):
        print("nothing was changed", file=sys.stderr)
        raise typer.Exit(2)
