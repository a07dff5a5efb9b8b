"""Results as pictures (SVG): throughput as bars with their spread, freshness over time as points.

python -m bench.plot       # what is in results/
"""

import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import median

from bench.outcome import Results
from bench.shapes import OWN

RESULTS = Path(__file__).with_name("results")
WIDTH, LABELS, BAR = 900, 380, 22
INK, OURS, THEIRS, CEILING, FAINT = "#222", "#c2410c", "#64748b", "#cbd5e1", "#e5e7eb"
STYLE = 'font-family="sans-serif" font-size="12"'
SAMPLES = "seconds since the start, seconds until visible"  # of freshness.json


def throughput(results: Results, shape: str = OWN.name) -> str:
    """Events a CPU-second, on a logarithmic scale: a bar to the median, a line from the lowest to the highest run."""
    rated = [
        (entry, [each.per_cpu_second for each in runs])
        for entry in results.contestants
        if (runs := results.of(entry.name, shape))
    ]
    if not rated:
        raise ValueError("there is no run to plot")
    rated.sort(key=lambda each: -median(each[1]))
    low = math.floor(math.log10(min(min(rates) for _, rates in rated)))
    high = math.ceil(math.log10(max(max(rates) for _, rates in rated)))

    def x(rate: float) -> float:
        return LABELS + (WIDTH - LABELS - 90) * (math.log10(rate) - low) / max(1, high - low)

    parts = []
    bottom = 40 + BAR * len(rated)
    for power in range(low, high + 1):
        at = x(10**power)
        parts.append(line(at, 30, at, bottom, FAINT))
        parts.append(text(at, 22, f"{10**power:,}", "middle"))
    for number, (entry, rates) in enumerate(rated):
        top = 36 + BAR * number
        colour = OURS if entry.name.startswith("pintally") else CEILING if entry.title.startswith("ceiling") else THEIRS
        end = x(median(rates))
        parts.append(text(LABELS - 8, top + 13, entry.title, "end"))
        parts.append(f'<rect x="{LABELS}" y="{top}" width="{end - LABELS:.1f}" height="{BAR - 6}" fill="{colour}"/>')
        parts.append(line(x(min(rates)), top + 8, x(max(rates)), top + 8, INK))
        parts.append(text(max(end, x(max(rates))) + 6, top + 13, f"{median(rates):,.0f}", "start"))
    return picture(f"Events a CPU-second of the worker (logarithmic), shape {shape}", bottom + 10, parts)


def freshness(samples: Sequence[Sequence[float]]) -> str:
    """(seconds since the start, seconds until visible), with lines at the 50th and the 99th percentile."""
    if not samples:
        raise ValueError("there is no sample to plot")
    ends = max(at for at, _ in samples)
    delays = sorted(delay for _, delay in samples)
    top = max(delays) * 1.1

    def place(at: float, delay: float) -> tuple[float, float]:
        return 60 + (WIDTH - 130) * at / ends, 300 - 260 * delay / top

    parts = [line(60, 300, WIDTH - 70, 300, INK), line(60, 40, 60, 300, INK)]
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.5" fill="{THEIRS}"/>' for x, y in (place(*each) for each in samples)
    ]
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        delay = delays[min(len(delays) - 1, int(share * len(delays)))]
        y = place(0, delay)[1]
        parts += [line(60, y, WIDTH - 70, y, OURS), text(WIDTH - 66, y + 4, f"{name} {delay:.2f} s", "start")]
    parts += [text(WIDTH / 2, 320, "seconds since the start", "middle"), text(54, 44, f"{top:.1f} s", "end")]
    return picture("From a producer's send to visible in pin_engagement_1m", 330, parts)


def picture(title: str, height: float, parts: Sequence[str]) -> str:
    """A whole SVG."""
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {STYLE}>\n<title>{escape(title)}</title>'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>', *parts, "</svg>", ""])


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """A thin line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Words; `anchor` is start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{escape(words)}</text>'


def main() -> None:
    """Plot what there is."""
    peers, fresh = RESULTS / "peers.json", RESULTS / "freshness.json"
    if peers.exists():
        results = Results.from_json(peers.read_text())
        for shape in results.shapes:
            (RESULTS / f"peers-{shape}.svg").write_text(throughput(results, shape))
    if fresh.exists():
        (RESULTS / "freshness.svg").write_text(freshness(json.loads(fresh.read_text())["samples"][SAMPLES]))


if __name__ == "__main__":
    main()
