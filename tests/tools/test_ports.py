"""Ports that somebody asks for."""

import subprocess
import sys
from pathlib import Path

import pytest

FIRST = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
NOBODY = """
import os
from pintally.schemas.errors import PintallyError
from pintally.tools.engines.ports import given_port
if os.getuid() == 0:
    os.setuid(65534)
try:
    given_port(81, "kafka")
except PintallyError as error:
    print(error.what)
"""


@pytest.mark.skipif(int(FIRST.read_text()) <= 81, reason="here everybody may listen on any port")
def test_a_port_that_this_user_may_not_have_is_not_said_to_be_in_use() -> None:
    said = subprocess.run([sys.executable, "-c", NOBODY], capture_output=True, text=True, check=True).stdout
    assert "may not listen on port 81 (kafka)" in said
