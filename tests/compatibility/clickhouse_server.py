"""Runs clickhouse-server out of a library that has its entry: `clickhouse_server.py LIBRARY ARGUMENT...`."""

import ctypes
import os
import signal
import sys

ENTRY = "_Z25mainEntryClickHouseServeriPPc"  # int mainEntryClickHouseServer(int, char **)


def main(library: str, arguments: list[str]) -> int:
    """Blocks while the server runs; its exit code."""
    argv = [b"clickhouse-server", *map(os.fsencode, arguments)]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    entry = getattr(ctypes.CDLL(library, mode=os.RTLD_LAZY), ENTRY)
    return int(entry(len(argv), (ctypes.c_char_p * (len(argv) + 1))(*argv, None)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
