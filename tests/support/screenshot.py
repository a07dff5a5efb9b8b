"""`make screenshot`: the page of a real `pintally serve`, with two workers and traffic, as docs/page.png.

`python -m tests.support.screenshot FOLDER` also writes it dark and at a phone's width, to FOLDER.
"""

import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from pintally.tools.engines import local_engines
from pintally.tools.engines.ports import free_port
from tests.e2e.running import Traffic, wait_for, workers
from tests.page.conftest import FLAGS
from tests.serve.serving import serving
from tests.support.programs import chromium

PICTURE = Path(__file__).parents[2] / "docs" / "page.png"
HEIGHT = 1432  # of the picture: the sentence, the sources, and the charts
WATCHED_SECONDS = 75  # a minute of freshness, and lines in the charts
TRAFFIC = ("--rate", "3000", "--pins", "20000", "--duplicates", "0.02", "--late", "0.004", "--broken", "0.002")


def take(browser: Browser, url: str, file: Path, *, width: int, scheme: str, watch: float) -> None:
    """Look at the page for a while, and write a picture of all of it."""
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=1 if width > 600 else 2,
    )
    page = context.new_page()
    page.goto(url)
    page.locator("#sources tbody tr").first.wait_for()
    page.wait_for_timeout(watch * 1000)
    page.screenshot(path=file, full_page=file != PICTURE)
    context.close()


def main() -> None:
    """Two workers, traffic, and the pictures."""
    more = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as made, local_engines(Path(made) / "engines") as engines:
        folder = Path(made)
        settings = Settings.of(folder / "none", **engines.addresses.settings())
        migrate(settings.clickhouse)
        create_topics(*settings.sources)
        first = free_port()
        ports = {"worker-1": first, "worker-2": free_port((first,))}
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports.values())
        with (
            ExitStack() as started,
            serving(settings, folder, serve_workers=addresses) as serve,
            Traffic(settings, *TRAFFIC),
            sync_playwright() as playwright,
        ):
            for name, port in ports.items():
                (folder / name).mkdir()
                start = started.enter_context(workers(settings.changed(metrics_port=port), folder / name))
                start(name)
            wait_for(lambda: serve.state()["condition"]["level"] == "ok", 60, "all is counted")
            time.sleep(5)
            browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
            take(browser, serve.url, PICTURE, width=1280, scheme="light", watch=WATCHED_SECONDS)
            if more:
                for width, scheme in product((1280, 360), ("light", "dark")):
                    take(browser, serve.url, more / f"{width}-{scheme}.png", width=width, scheme=scheme, watch=15)
            browser.close()
    print(PICTURE)


if __name__ == "__main__":
    main()
