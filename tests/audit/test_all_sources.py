"""Sources that are recounted in processes of their own: what becomes of the audit if one is killed."""

import os
import signal
from typing import NoReturn
from uuid import UUID

import pytest

from pintally.audit import all_sources
from pintally.audit.addresses import Addresses
from pintally.audit.all_sources import audit_all
from pintally.audit.errors import CannotTell
from pintally.audit.flushed import Flushed


def killed(*_: object) -> NoReturn:
    """As the kernel ends a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_a_process_that_is_killed_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_sources, "_audit_shared", killed)
    sources = [Flushed(number, "engagement.save.v1", UUID(int=1), number, (), ()) for number in range(2)]
    with pytest.raises(CannotTell, match="was killed, perhaps for want of memory"):
        audit_all(Addresses("127.0.0.1:1", ()), sources, 0, 2, lambda *_: None, None)
