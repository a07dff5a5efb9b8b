"""Conditions on dead letters: what a person gives is a parameter, never a part of the SQL."""

import re

from hypothesis import given
from hypothesis import strategies as st

from pintally.sinks.clickhouse.dead_letter_queries import CONDITIONS, Wanted

texts = st.none() | st.text(max_size=10) | st.sampled_from(["' OR 1=1 --", "%(x)s", "\\", "'; DROP TABLE x"])
times = st.none() | st.integers()
wanted = st.builds(
    Wanted,
    topics=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    outcome=st.sampled_from([None, "late", "invalid"]),
    reason=texts,
    since_ms=times,
    until_ms=times,
    pin=texts,
    event_id=texts,
    origins=st.none() | st.lists(st.tuples(st.text(max_size=3), st.integers(0, 9), st.integers(0, 9))).map(tuple),
)


@given(wanted)
def test_the_sql_is_made_of_our_words_alone_and_names_each_parameter(given_: Wanted) -> None:
    condition, parameters = given_.sql()
    assert set(condition.split(" AND ")) <= {part for each in CONDITIONS.values() for part in each.split(" AND ")} | {
        "0"
    }
    assert set(re.findall(r"%\((\w+)\)s", condition)) == set(parameters)
    assert all(parameters[name] is getattr(given_, name) for name in parameters)


@given(wanted)
def test_whatever_is_given_restricts(given_: Wanted) -> None:
    condition, parameters = given_.sql()
    if condition == "0":
        assert () in (given_.topics, given_.origins)
    else:
        assert set(parameters) == {name for name in CONDITIONS if getattr(given_, name) is not None}
