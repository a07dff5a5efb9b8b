"""Five faults as a new operator sees them: `python -m tests.operate.pictures FOLDER`.

Each fault is played on real engines while traffic runs. Half a minute later FOLDER has a picture of the page, in light
at a desk's width, and in dark at a phone's; then the fault is mended. `--only WORDS` as for `tests.operate.day`, whose
other faults can be named too.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from pintally.streams.settings import Settings
from tests.operate.day import OWN
from tests.operate.stages import STAGES, Stage
from tests.operate.world import World, open_world
from tests.page.conftest import FLAGS
from tests.support.engines import open_engines, topics_and_tables
from tests.support.programs import chromium

FIVE = ("all workers end", "a worker is frozen", "ClickHouse is away", "Kafka is away", "a producer goes mad")
SEEN_S = 30.0
SHOWN = {"light": (1280, 900), "dark": (390, 844)}
SETTLED_S = 180.0


def look(world: World, pages: dict[str, Page], stage: Stage, folder: Path) -> None:
    """Play a fault, take a picture of each page after half a minute, and wait until all is well again."""
    with stage.fault(world):
        began = time.monotonic()
        while (left := began + SEEN_S - time.monotonic()) > 0:
            pages["light"].wait_for_timeout(min(left, 1.0) * 1000)  # time passes for the browser too
        name = stage.name.replace(" ", "-").replace(",", "")
        for scheme, page in pages.items():
            page.screenshot(path=folder / f"{name}-{scheme}.png")
        print(f"{stage.name}\n  {pages['light'].locator('#condition').inner_text()}\n", flush=True)
    world.wait_well(SETTLED_S)


def opened(browser: Browser, world: World, scheme: str, width: int, height: int) -> Page:
    """The page, as somebody sees it who opened it before the fault."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    assert world.serve
    page.goto(world.serve.url)
    page.locator("#sources tbody tr").first.wait_for()
    return page


def main() -> int:
    """Returns 0 once all pictures are taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", metavar="WORDS")
    chosen = parser.parse_args()
    folder = chosen.folder.absolute()
    folder.mkdir(exist_ok=True)
    stages = [stage for stage in STAGES if any(words in stage.name for words in chosen.only or FIVE)]
    with tempfile.TemporaryDirectory() as made, open_engines("local", Path(made, "engines")) as engines:
        Path(made, ".pintally").mkdir()  # as `pintally up` does: there workers leave why they ended
        os.chdir(made)
        settings = Settings.of(None, **engines.addresses.settings(), **OWN)
        logs = Path(made, "logs")
        logs.mkdir()
        with (
            topics_and_tables(settings, engines.addresses),
            open_world(settings, engines, logs, 1.0) as world,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
            pages = {scheme: opened(browser, world, scheme, *size) for scheme, size in SHOWN.items()}
            for stage in stages:
                look(world, pages, stage, folder)
            browser.close()
    return 0 if stages else 2


if __name__ == "__main__":
    sys.exit(main())
