"""Every command of `pintally`, by the command line itself, and the least arguments that it can be called with."""

from pintally import cli

LEAST: dict[str, tuple[str, ...]] = {
    "emulate": ("--events", "20"),
    "users": ("--create",),
    "serve": ("--port", "0"),
    "features": ("813744226420795884",),
    "breakdown": ("813744226420795884",),
    "experiment": ("checkout",),
    "explain": ("7d0bd1a6-3f0e-4ab9-9bb3-0e6c4a7d2b11",),
    "dlq replay": ("--dry-run",),
    "rules apply": ("--yes",),
    "accept-loss": ("--yes",),
    "replace-topic": ("--yes",),
}
# Start engines of their own or need none, whatever the settings say.
ALONE = ("demo", "up", "drill", "schema")
# Which engines a command asks, and by which protocol: all of "kafka", "native", "http" if it is not named here.
ASKS: dict[str, tuple[str, ...]] = {
    "migrate": ("kafka", "native"),
    "users": ("native",),
    "worker": ("kafka", "native"),
    "serve": ("kafka", "native"),
    "emulate": ("kafka",),
    "top": ("native",),
    "features": ("native",),
    "breakdown": ("native",),
    "experiment": ("native",),
    "status": ("kafka", "native"),
    "verify": ("kafka", "http"),
    "explain": ("kafka", "http"),
    "dlq list": ("kafka", "native"),
    "dlq show": ("kafka", "native"),
    "dlq replay": ("kafka", "native"),
    "rules show": ("kafka", "native"),
    "rules apply": ("kafka", "native"),
    "accept-loss": ("kafka", "native"),
    "replace-topic": ("kafka", "native"),
    "repair": ("kafka", "native"),
}


def commands() -> list[str]:
    """Each command that asks an engine, and each of a command's own commands, as one types them."""
    names = []
    for name in cli.COMMANDS:
        loaded = cli.load(name)
        parts = getattr(loaded, "commands", {})
        names += [f"{name} {part}" for part in parts] or [name]
    return [name for name in names if name not in ALONE]


def arguments(command: str) -> list[str]:
    """How it is called."""
    return [*command.split(), *LEAST.get(command, ())]


def asked_by(command: str) -> tuple[str, ...]:
    """What it needs of the engines."""
    return ASKS.get(command, ("kafka", "native", "http"))
