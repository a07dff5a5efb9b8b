"""How often is looked, and for whom."""

import pytest

from pintally.serve.looking import tables_seconds


@pytest.mark.parametrize(
    ("took", "viewed", "seconds"),
    [(0.1, True, 10.0), (1.5, True, 10.0), (4.0, True, 20.0), (0.1, False, 60.0), (4.0, False, 120.0)],
)
def test_tables_are_looked_at_each_ten_seconds_while_somebody_looks_even_if_it_is_slow(
    took: float, viewed: bool, seconds: float
) -> None:
    assert tables_seconds(took, viewed=viewed) == seconds
