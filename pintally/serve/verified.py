"""What the last `pintally verify --metrics FILE` found, from its file."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from pintally.serve.state import Verified

AT, RECORDS, DIFFERENCES = "pintally_verified_timestamp_seconds", "pintally_verified_records", "pintally_differences"


def read_verified(file: str | None) -> Verified | None:
    """Returns what the file says; None if there is no such file, or it does not say all of it."""
    try:
        text = Path(file).read_text() if file else ""
        found = {each.name: each.samples[0].value for each in text_string_to_metric_families(text) if each.samples}
        return Verified(at=found[AT], records=int(found[RECORDS]), differences=int(found[DIFFERENCES]))
    except (OSError, ValueError, KeyError):
        return None
