"""`pintally serve` where everything is encrypted and needs a login: with a user of ClickHouse who may only read."""

from pathlib import Path

from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.kafka.topics import create_topics
from tests.e2e.running import wait_for
from tests.serve.serving import serving
from tests.support.secured import ADMIN, PAGE, SECRET, Secured


def test_a_user_who_may_only_read_is_enough_and_nothing_tells_a_password(secured: Secured, tmp_path: Path) -> None:
    settings = secured.settings(topic_prefix="page.", kafka_group_id="page")
    as_admin = settings.changed(clickhouse_user=ADMIN)
    migrate(as_admin.clickhouse)
    create_topics(*settings.sources)
    with serving(settings.changed(clickhouse_user=PAGE), tmp_path) as serve:
        wait_for(lambda: serve.get("/readyz")[0] == 200, 60, "both engines answer")
        wait_for(lambda: "pintally_clickhouse_rows{" in serve.get("/metrics")[1], 60, "a look at the tables")
        said = "".join(serve.get(path)[1] for path in ("/api/state.json", "/metrics", "/readyz"))
        assert '"away":{}' in said
        assert SECRET not in said + serve.log.read_text() + serve.out.read_text()
