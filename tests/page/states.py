"""Documents that the page shows in tests: a quiet one, and changes of it."""

import time
from typing import Any

from pintally.serve.state import State

PREFIX = "engagement."
TOPICS = (f"{PREFIX}save.v1", f"{PREFIX}click.v1", f"{PREFIX}closeup.v1")
ASSURANCE = "Nothing is lost. The counts shown are right, and complete up to 0.8 s ago."
SENTENCE = "All records are counted, 0.8 s behind; hours before 11:00 UTC are final."
RATES = {"counted": 640.0, "duplicate": 6.4, "late": 1.2, "invalid": 0.6, "gaps": 0.0}
MARKUP = "pin_id: <img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> & more"


def _source(topic: str, partition: int, now: float) -> dict[str, Any]:
    return {
        "topic": topic, "partition": partition, "log_start": 0, "log_end": 12_345_678, "position": 12_345_600,
        "lag": 78, "lag_seconds": 0.8, "stream_time": now - 0.8, "retention_headroom": 604_799.0, "blocked": False,
        "holds_sealing": partition == 0, "member": f"worker-{partition % 2}", "state": "ok",
        "stands_since": now - 0.8,
    }  # fmt: skip


def _rates() -> list[dict[str, Any]]:
    return [
        {"topic": topic, "outcome": outcome, "total": int(rate * 3_600), "per_second": rate * (place + 1)}
        for place, topic in enumerate(TOPICS)
        for outcome, rate in RATES.items()
    ]


def _workers(now: float) -> dict[str, Any]:
    steps = {"connect": 0.002, "read_back": 0.018, "cells": 0.21, "dead_letters": 0.012, "ledger": 0.047}
    known = [
        {
            "address": f"127.0.0.1:{9301 + number}", "member": f"worker-{number}", "answers": True,
            "partitions": 6, "paused": 0,
            "pending_cells": 21_000, "pending_cells_limit": 2_000_000, "restoring": False,
        }
        for number in range(2)
    ]  # fmt: skip
    named = [{"step": step, "seconds": seconds} for step, seconds in steps.items()]
    return {
        "known": known, "freshness_p50": 0.71, "freshness_p99": 1.36, "visible_at": now - 1, "steps": named,
    }  # fmt: skip


def state(number: int = 1, now: float | None = None, **changes: Any) -> State:
    """A document of now in which all is well, with some of its parts changed."""
    now = time.time() if now is None else now
    hour = now // 3600 * 3600
    document: dict[str, Any] = {
        "version": "0.1.0", "number": number, "looked_at": now, "away": {}, "lag": 936, "lag_seconds": 0.8,
        "assurance": ASSURANCE,
        "condition": {"kind": "well", "level": "ok", "sentence": SENTENCE},
        "sources": [_source(topic, partition, now) for topic in TOPICS for partition in range(4)],
        "outcomes": _rates(), "workers": _workers(now),
        "sealing": {"sealed_until": hour - 3600, "newest_cut": now // 600 * 600, "open_hours": 0,
                    "held_by": f"{TOPICS[0]}[0]", "held_at": now - 0.8},
        "top": [{"pin_id": str(2**63 + 12_345 * place), "events": 8_000 // (place + 1),
                 "by_minute": [(minute * 37 + place * 11) % 90 for minute in range(60)]} for place in range(10)],
        "dead_letters": [
            {"topic": TOPICS[0], "outcome": "late", "field": "late", "records": 400, "reason": "late by 485.554 s"},
            {"topic": TOPICS[1], "outcome": "invalid", "field": "pin_id", "records": 24, "reason": MARKUP},
        ],
        "letters_at": now - 8,
        "lost_records": 0,
        "verified": [
            {"scope": "whole", "at": now - 5_400, "share": 1.0, "records": 198_000_000, "differences": 0},
            {"scope": "sample", "at": now - 540, "share": 0.05, "records": 9_000_000, "differences": 0},
        ],
    }  # fmt: skip
    return State.model_validate(document | changes)
