"""Rules that a newer version of Pintally wrote: who counts refuses and says `upgrade`; who shows goes on."""

import json
from pathlib import Path

import pytest

from pintally.schemas.errors import FOR_A_PERSON
from pintally.schemas.rows import StartRow
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.counting.recovery import follow
from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, pintally, wait_caught_up, workers
from tests.serve.serving import serving

EPOCH = 7


@pytest.fixture
def newer(stack: Settings, tmp_path: Path) -> Settings:
    """Counted by this version; then `rules apply` of a newer one set an epoch with a field that is unknown here."""
    with workers(stack, tmp_path) as start, Traffic(stack, "--events", "500") as traffic:
        worker = start("one")
        traffic.finish()
        wait_caught_up(stack)
        worker.stop()
    sink = ClickHouseSink(stack.clickhouse)
    with sink.session() as session:
        for source, ledger in session.read_ledgers(list(sink.known_sources())).items():
            chain = follow(ledger)
            rules = json.dumps({**json.loads(chain.epoch_start.rules), "cap_per_user": 3}, sort_keys=True)
            session.write_starts([StartRow(source, EPOCH, chain.start, chain.start_stream_time, rules)])
    return stack


def test_who_shows_goes_on_and_says_it_and_who_counts_refuses_with_the_remedy(newer: Settings, tmp_path: Path) -> None:
    with serving(newer, tmp_path) as serve:
        state = serve.wait_sentence("^No worker runs.* newer version of Pintally")
        assert state["condition"]["level"] == "stopped"
        assert "Upgrade Pintally" in state["condition"]["detail"]
        assert sum(each["log_end"] for each in state["sources"]) >= 500
        shows(serve.get("/metrics"))
        for command in (("status",), ("rules", "show")):
            done = pintally(newer, *command)
            assert done.returncode == 0, done.stderr
            assert "cap_per_user" in done.stdout
            assert "Upgrade Pintally" in " ".join(done.stdout.split())
        document = json.loads(pintally(newer, "rules", "show", "--json").stdout)
        epochs = [epoch for source in document["sources"] for epoch in source["epochs"] if epoch["epoch"] == EPOCH]
        assert epochs
        assert all(epoch["rules"]["cap_per_user"] == 3 and not epoch["known"] for epoch in epochs)
        assert json.loads(pintally(newer, "status", "--json").stdout)["unknown_rules"]
        for refused in (("rules", "apply", "--yes"), ("repair",), ("verify",), ("worker",)):
            done = pintally(newer, *refused)
            said = done.stdout + done.stderr
            assert done.returncode == FOR_A_PERSON, (refused, said)
            assert "cap_per_user" in said, (refused, said)
            assert "Upgrade Pintally" in said, (command, said)
            assert "Traceback" not in said


def shows(answer: tuple[int, str]) -> None:
    """The metrics go on, and say which rules are not known."""
    status, metrics = answer
    assert status == 200
    lines = [line for line in metrics.splitlines() if line.startswith("pintally_rules_info{") and 'epoch="7"' in line]
    assert lines
    assert all('known="false"' in line for line in lines)
