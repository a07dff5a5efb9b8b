"""Tells other commands in the same folder where the local engines are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pintally.tools.engines.addresses import EngineAddresses


@contextmanager
def announced(addresses: EngineAddresses, file: Path) -> Iterator[None]:
    """`file` holds the addresses as `PINTALLY_*` lines (read by `streams.settings`) until the end of the block."""
    lines = [f"{name}={value}\n" for name, value in addresses.environment().items()]
    part = file.with_name(f"{file.name}.part")
    part.write_text("".join(["# Written by `pintally up`, removed when it ends.\n", *lines]))
    part.chmod(0o600)
    part.replace(file)  # a reader sees all or nothing
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
