"""Runs clickhouse-local from libchdb.so with the given arguments. A program of its own: standard library only.

`listen.py LIBRARY ARGUMENT...`. The library tells a failure at start (port or data in use, bad configuration) only by
the text of its result, with return code 0; here it goes to standard error, and the program ends with 1.
"""

import ctypes
import os
import signal
import sys


def main(path: str, arguments: list[str]) -> int:
    """Blocks while the engine runs; 0 if it was stopped cleanly, 1 if it failed."""
    library = ctypes.CDLL(path)
    library.chdb_query_cmdline.restype = ctypes.c_void_p
    library.chdb_result_error.argtypes = [ctypes.c_void_p]
    library.chdb_result_error.restype = ctypes.c_char_p
    argv = [b"clickhouse", *(os.fsencode(argument) for argument in arguments)]
    result = library.chdb_query_cmdline(len(argv), (ctypes.c_char_p * len(argv))(*argv))
    error = library.chdb_result_error(result)
    if error:
        print(error.decode(errors="replace"), file=sys.stderr, flush=True)
    return 1 if error else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
