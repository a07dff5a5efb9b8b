"""What the page says first on real engines, when something is wrong: the cause, and never its symptom alone."""

from pathlib import Path

from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, wait_caught_up, workers
from tests.serve.serving import serving


def test_settings_with_other_rules_are_named_where_no_worker_runs(stack: Settings, tmp_path: Path) -> None:
    with workers(stack, tmp_path) as start, Traffic(stack, "--events", "500") as traffic:
        start("one")
        traffic.finish()
        wait_caught_up(stack)
    other = stack.changed(allowed_lateness_seconds=7200)
    with serving(other, tmp_path) as serve:
        state = serve.wait_sentence(r"^No worker runs: .* The settings have other rules than the ledger", 60)
        assert state["condition"]["command"] == "pintally rules show"
