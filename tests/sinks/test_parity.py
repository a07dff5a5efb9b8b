"""What was answered online at a moment is what anybody gets later who asks for that moment, and what the log says."""

from typing import Any

import numpy as np
import pytest

from pintally.streams.settings import Settings
from tests.sinks.answers import Answer, assert_parity, by_reader, online
from tests.sinks.parity_world import END, START, TICK, Night
from tests.support.true_features import HOUR


def test_online_at_a_moment_is_as_of_the_moment_later_and_the_log(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    address, answers = stack.clickhouse, list[Answer]()
    night = Night(address, np.random.default_rng(5), monkeypatch)
    for wall in range(START + TICK, END + HOUR, TICK):
        if night.tick(wall):
            told = online(address)
            cut, rows = by_reader(address, [pin for _, _, pin, _ in told])
            assert [(cut, row) for row in rows] == [(answer[1], answer[3]) for answer in told]
            answers += told
    assert night.deaths >= 2
    assert night.zombies_seen >= 2
    events = (event for source in night.sources for event in source.events())
    record_property("wrong", assert_parity(address, answers, events))
