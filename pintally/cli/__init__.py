"""The command `pintally`: one file a command, imported only when it is called, so that `--help` is quick."""

import os
import sys
from importlib import import_module
from inspect import getdoc
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from pintally.schemas.errors import PintallyError
from pintally.tools.python import keep_children_safe

# Name and summary of each command, in the order of a first day. The function of the same name (`_` for `-`) in the file
# of that name is the command; its docstring begins with the same summary. A name that stands there for a typer.Typer is
# a command with commands of its own, and its help= begins with the summary.
COMMANDS = {
    "demo": "Show it all: engines, traffic, counts, and the proof of them.",
    "up": "Run Kafka and ClickHouse here, without Docker, until stopped.",
    "migrate": "Create the topics and the tables; safe to run again.",
    "users": "Print or create the ClickHouse users of workers and of readers.",
    "worker": "Count engagement from Kafka into ClickHouse until stopped.",
    "emulate": "Produce engagement that looks real, flaws included.",
    "verify": "Recount the log independently and compare every count.",
    "top": "Show the pins with the most engagement.",
    "status": "Show how far each source is counted, and what is behind.",
    "explain": "Show where an event is, and why it is counted or not.",
    "dlq": "List, show and replay dead letters: what was late or broken.",
    "rules": "Show the counting rules of each source, or change them.",
    "replace-topic": "Say that a topic takes another's place: a copy, or another cluster.",
    "accept-loss": "Give up what is gone for good; the ledger keeps it.",
    "repair": "Mend rows in ClickHouse from the log, while workers go on.",
    "drill": "Inject faults into a stack of its own, and prove the counts.",
    "schema": "Print the contract of the events as JSON Schema.",
}

EPILOG = """
A first session, each line in the folder of the project:

    pintally up                        and leave it running
    pintally migrate                   in a second terminal, then
    pintally worker                    and leave it running too
    pintally emulate --events 100000   in a third
    pintally top
    pintally verify

Settings are read from variables named PINTALLY_..., for instance PINTALLY_KAFKA_BOOTSTRAP_SERVERS=broker:9092.
Without them the commands find what `pintally up` started in the same folder.

Exit codes: 0 done; 1 `verify` found a difference; 2 a person must act, and the message says why and
what to do; 75 Kafka or ClickHouse does not answer, try again; 130 interrupted.
"""


class Commands(TyperGroup):
    """Lists the commands by their summaries and imports the file of the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, short_help=summary) for name, summary in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Swap the listed summary for the real command."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a reader that left (`pintally top | head -1`) ends it as SIGPIPE would, without a word."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        return result


def load(name: str) -> Any:
    """The command in the file of its name, its docstring as help; or the commands of its Typer."""
    attribute = name.replace("-", "_")
    function = getattr(import_module(f"pintally.cli.{attribute}"), attribute)
    if isinstance(function, typer.Typer):
        return typer.main.get_command(function)
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name, help=keep_examples(getdoc(function) or ""))(function)
    return typer.main.get_command(single)


def group(text: str) -> typer.Typer:
    """A command that has commands of its own; `text` is its help."""
    return typer.Typer(
        help=keep_examples(text),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def keep_examples(text: str) -> str:
    """Mark the paragraphs that have an indented line, so that help does not wrap them (\\b is click's mark)."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(f"\b\n{part}" if "    " in part else part for part in paragraphs)


def print_version(wanted: bool) -> None:
    """Print the installed version and exit."""
    if wanted:
        from importlib.metadata import version  # here, because it costs every --help a tenth of its time

        print(f"pintally {version('pintally')}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    epilog=keep_examples(EPILOG),
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help is there in a quarter of the time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def pintally(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Count saves, clicks and close-ups per pin, from Kafka to ClickHouse, exactly."""


def main() -> None:
    """Run the command line. An error is printed with its remedy; the exit code says whose it is."""
    keep_children_safe()
    try:
        app()
    except PintallyError as error:
        refuse(error)


def refuse(error: PintallyError) -> NoReturn:
    """Print what is wrong and what to do about it on stderr; exit 2, or 75 if it goes away by itself."""
    print(f"error: {error.what}", file=sys.stderr)
    if error.remedy:
        print(f"  {error.remedy}", file=sys.stderr)
    sys.exit(error.exit_code)
