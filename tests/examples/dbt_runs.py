"""Runs dbt commands in one process of the examples' environment, and prints what came of each as a line of JSON.

Arguments: commands, as `source freshness`.
"""

import contextlib
import io
import json
import sys

from dbt.cli.main import dbtRunner


def main() -> None:
    """One command after the other."""
    for command in sys.argv[1:]:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            done = dbtRunner().invoke([*command.split(), "--profiles-dir", "."])
        if done.exception is not None or not done.result:
            print(said.getvalue())
            raise SystemExit(f"dbt {command}: {done.exception}")
        found = {
            result.node.name: {
                "status": str(result.status),
                "until": str(getattr(result, "max_loaded_at", "")),
                "sql": getattr(result.node, "compiled_code", ""),
            }
            for result in done.result.results
        }
        print(json.dumps(found))


if __name__ == "__main__":
    main()
