"""How the suite is spread over processes."""

import pytest


@pytest.fixture(scope="module")
def shared() -> str:
    return "made once"


@pytest.mark.usefixtures("shared")
def test_those_who_share_a_fixture_of_their_module_run_in_one_process(request: pytest.FixtureRequest) -> None:
    """Else each process makes the fixture anew, which may be a database with everything in it."""
    group = request.node.get_closest_marker("xdist_group")
    assert group is not None
    assert group.args == ("project.test_suite",)
    if request.config.getoption("loadgroup", False):  # pytest-xdist has read it
        assert request.node.nodeid.endswith("@project.test_suite")


def test_others_run_wherever_there_is_time(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("xdist_group") is None
    assert "@" not in request.node.nodeid
