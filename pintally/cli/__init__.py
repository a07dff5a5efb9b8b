"""The command `pintally`: one file a command, imported only when it is called, so that `--help` is quick."""

import os
import sys
import traceback
from errno import EDQUOT, ENOSPC
from importlib import import_module
from inspect import getdoc
from io import TextIOWrapper
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from pintally.schemas.errors import FOR_A_PERSON, PintallyError, Unavailable
from pintally.tools.python import keep_children_safe

# Name and summary of each command, in order of first use. The file of that name (`_` for `-`) has a function of that
# name; its docstring begins with the same summary. A command with subcommands has a typer.Typer of that name instead.
COMMANDS = {
    "demo": "Start engines and a worker, produce events, show the counts and verify them.",
    "up": "Run Kafka and ClickHouse on this machine, without Docker, until stopped.",
    "migrate": "Create the topics and the tables; safe to run again.",
    "users": "Print or create the ClickHouse users for workers and readers.",
    "worker": "Count events from Kafka into ClickHouse until stopped.",
    "serve": "Serve the live page, and metrics of all sources, until stopped.",
    "emulate": "Produce realistic events, with duplicates, late and invalid records.",
    "verify": "Recount the log independently and compare every count.",
    "top": "Show the pins with the most engagement.",
    "features": "Show what is known of pins: counts of the last hour, day, week and month, rates and the trend.",
    "breakdown": "Show the events of a pin by surface and by platform.",
    "experiment": "Show how the arms of an experiment differ from its control arm, and whether that is chance.",
    "status": "Show the position, the lag and the outcomes of each source.",
    "explain": "Find an event, and show why it is counted or not.",
    "dlq": "List, show and replay dead letters: late and invalid records.",
    "rules": "Show or change the counting rules of each source.",
    "replace-topic": "Continue counting in another topic: a copy, or a topic in another cluster.",
    "accept-loss": "Accept the loss of records that are gone, so that counting can continue.",
    "repair": "Repair rows in ClickHouse from the log, while workers run.",
    "drill": "Inject faults into workers and engines of its own, and check the counts.",
    "schema": "Print the JSON Schema of the events.",
}

# What the extra `worker` installs, as modules: who only asks for counts has none of it.
OF_THE_WORKER = (
    "aiohttp",
    "aiokafka",
    "crc32c",
    "faust",
    "kafka",
    "mode",
    "msgspec",
    "numba",
    "prometheus_client",
    "uvloop",
)

EPILOG = """
A first session, in the folder of the project:

    pintally up                        in a first terminal; leave it running
    pintally migrate                   in a second terminal
    pintally worker                    in the second terminal; leave it running
    pintally emulate --events 100000   in a third terminal
    pintally top
    pintally verify

Settings are read from variables named PINTALLY_..., for instance PINTALLY_KAFKA_BOOTSTRAP_SERVERS=broker:9092.
Without them, a command uses the engines that `pintally up` started in the same folder.

Exit codes: 0 done; 1 `verify` or `drill` found a difference, `explain` found nothing, or `dlq replay` left
out dead letters; 2 a person must act, the message says why and how;
75 Kafka or ClickHouse does not answer, try again; 130 interrupted.
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
        """Run the command. If stdout is closed (`pintally top | head -1`), end silently, as SIGPIPE would."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            leave_stdout()
            raise typer.Exit(141) from None
        return result


def leave_stdout() -> None:
    """What is printed from now on, and what is not written yet, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def load(name: str) -> Any:
    """Returns the command in the file of that name; its docstring is its help."""
    attribute = name.replace("-", "_")
    function = getattr(import_module(f"pintally.cli.{attribute}"), attribute)
    if isinstance(function, typer.Typer):
        return typer.main.get_command(function)
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name, help=keep_examples(getdoc(function) or ""))(function)
    return typer.main.get_command(single)


def group(text: str) -> typer.Typer:
    """Returns an empty command with subcommands; `text` is its help."""
    return typer.Typer(
        help=keep_examples(text),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def keep_examples(text: str) -> str:
    """Mark paragraphs that have an indented line, so that click does not wrap them (\\b is click's mark)."""
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
    """Run the command line. A PintallyError is printed with its remedy, and sets the exit code; that of an unexpected
    error is 2.
    """
    keep_children_safe()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it: a terminal may know no ✓
    try:
        app()
    except PintallyError as error:
        refuse(error)
    except Exception as error:  # noqa: BLE001 - Python would exit with 1, which says that `verify` found a difference
        if known := _with_a_remedy(error):
            refuse(known)
        traceback.print_exc()
        sys.exit(FOR_A_PERSON)


def _with_a_remedy(error: Exception) -> PintallyError | None:
    """An error of others that a person can mend; None for one that nobody foresaw."""
    if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
        leave_stdout()  # what it holds would be written once more at the end
        where = f" for {error.filename}" if error.filename else ""
        return Unavailable(f"there is no room on the disk{where}: {error.strerror}", "Make room, then run it again.")
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in OF_THE_WORKER:
        return PintallyError(f"this command needs {error.name}", "Run: python -m pip install 'pintally[worker]'")
    return None


def refuse(error: PintallyError) -> NoReturn:
    """Print the error and its remedy on stderr; exit with 2, or with 75 if trying again may help."""
    print(f"error: {error.what}", file=sys.stderr)
    if error.remedy:
        print(f"  {error.remedy}", file=sys.stderr)
    sys.exit(error.exit_code)
