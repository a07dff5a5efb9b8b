"""Writes the JSON of both dashboards: `make dashboards`."""

from pathlib import Path
from typing import Final

from deploy.grafana.counting import counting
from deploy.grafana.engagement import engagement
from deploy.grafana.layout import to_json

FOLDER: Final = Path(__file__).parent / "dashboards"


def files() -> dict[Path, str]:
    """Each file, and what it must hold."""
    return {FOLDER / "counting.json": to_json(counting()), FOLDER / "engagement.json": to_json(engagement())}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
