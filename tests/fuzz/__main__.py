"""`python -m tests.fuzz --records 1000000 --seed 7`: hostile records to a real worker on engines of its own."""

import argparse
import json
import tempfile
import time
from pathlib import Path

from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from tests.fuzz.run import fuzz
from tests.support.engines import open_engines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--directory", type=Path, help="keep engines, data and the worker's log there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = given.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        with open_engines("local", directory / "engines") as engines:
            settings = Settings.of(
                env_file=None,
                kafka_bootstrap_servers=engines.addresses.kafka,
                clickhouse_host=engines.addresses.clickhouse_host,
                clickhouse_port=engines.addresses.clickhouse_port,
                clickhouse_http_port=engines.addresses.clickhouse_http_port,
                partitions=2,
                topic_prefix="fuzz.",
                kafka_group_id="fuzz",
            )
            migrate(settings.clickhouse)
            create_topics(*settings.sources)
            print(f"seed {given.seed}", flush=True)
            print(
                json.dumps(fuzz(settings, given.records, given.seed, directory, lambda line: print(line, flush=True)))
            )


if __name__ == "__main__":
    main()
