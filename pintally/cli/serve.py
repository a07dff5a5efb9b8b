"""`pintally serve`: the live page, and metrics of all sources."""

from typing import Annotated

import typer


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. There is no login.", show_default="PINTALLY_SERVE_HOST")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; 0 is any that is free.", show_default="PINTALLY_SERVE_PORT"),
    ] = None,
) -> None:
    """Serve the live page, and metrics of all sources, until stopped.

    The page says in one sentence whether all records are counted, and if not, what is wrong and which command helps.
    Prometheus finds the same at /metrics: the ledger, Kafka and sealing of all sources, also when no worker runs.
    Nothing can be changed here, and nothing of a person is shown. It reads only: rights of a worker's user suffice,
    without those to write.

    Where several servers share the pins it shows what all of them have, and names the one that does not answer.

    Kafka and ClickHouse are asked once a second for all viewers, and seldom while nobody looks. /livez says that the
    process answers, /readyz that both engines answered it in the last minute.

    Example: pintally serve --port 8080
    """
    from pintally.serve.run import serve as run
    from pintally.streams.settings import load_settings

    settings = load_settings(over_shards=True)
    given = {"serve_host": host, "serve_port": port}
    run(settings.changed(**{name: value for name, value in given.items() if value is not None}), _tell)


def _tell(url: str) -> None:
    typer.echo(f"  Page     {url}/\n  Metrics  {url}/metrics\nCtrl-C stops it.")
