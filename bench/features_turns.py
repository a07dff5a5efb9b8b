"""Two versions of the views, in turns on the same tables: other work on the machine hits both alike."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.asking import Asked, Reader, timed
from bench.figures import Kept
from bench.profile import compared

ROUNDS = 5
OURS = Path(__file__).resolve().parent.parent
STATEMENTS = """
import json
from pintally.sinks.clickhouse.scripts import READ, script_of, statements
print(json.dumps([made for name in READ for made in statements(script_of(name))]))
"""
Views = Sequence[str]  # statements that make the views anew


def views_of(tree: Path) -> Views:
    """The views of a tree, as its own `pintally migrate` makes them. Raises CalledProcessError if it has none."""
    run = [sys.executable, "-c", STATEMENTS]
    found = subprocess.run(run, env=os.environ | {"PYTHONPATH": str(tree)}, cwd=tree, check=True, capture_output=True)
    return list(json.loads(found.stdout))


@dataclass(frozen=True, slots=True)
class Pair:
    """The views of this tree and those of another one."""

    ours: Views
    theirs: Views

    @classmethod
    def with_tree(cls, other: Path) -> "Pair":
        """Raises CalledProcessError if the other one has no views."""
        return cls(views_of(OURS), views_of(other))

    def take_turns(self, reader: Reader, found: Kept, name: str, runs: Sequence[Callable[[], object]]) -> None:
        """Ask both, round by round, and say what the views of this tree cost compared with the other ones."""
        rounds: tuple[list[Asked], list[Asked]] = ([], [])
        for number in range(ROUNDS):
            for arm in (0, 1) if number % 2 else (1, 0):
                for statement in (self.ours, self.theirs)[arm]:
                    reader.connection.execute(statement)
                rounds[arm].append(timed(reader, runs[number::ROUNDS] or runs))
        for statement in self.ours:
            reader.connection.execute(statement)
        for what, ratio in compared(*([cost(asked) for asked in arm] for arm in rounds)).items():
            spread = f"({ratio['lowest']:.2f} to {ratio['highest']:.2f}): {ratio['verdict']}"
            found.notes.append(f"- {name}, {what}: {ratio['ratio']:.2f} of the other views' {spread}")


def cost(asked: Asked) -> dict[str, float]:
    """What a run of a round cost."""
    runs = len(asked.took_ms)
    return {"ms": sum(asked.took_ms) / runs, "CPU ms": asked.cpu_ms / runs, "rows read": asked.rows_read / runs}
