"""The fields of the log's lines, by name. docs/log.md is made from this.

A line has no other field, so nothing gets into the log because a library passes it along.
"""

from typing import Final

FIELDS: Final = {
    "version": "version of Pintally",
    "group": "consumer group",
    "instance": "`--instance` of the worker, if it has one; on each of its lines",
    "pid": "process id",
    "kafka": "bootstrap servers",
    "clickhouse": "host, port and database",
    "topics": "topics that are counted, without their replay topics",
    "url": "where metrics and health are served",
    "topic": "topic",
    "partition": "partition",
    "partitions": "partitions of the topic that this worker counts",
    "replay_partitions": "partitions of the topic's replay topic that this worker counts",
    "offset": "offset that the line is about",
    "end": "the offset behind the last one that the line is about",
    "epoch": "epoch of the rules",
    "fingerprint": "fingerprint of the rules",
    "sources": "number of sources that were assigned",
    "kept": "number of sources whose state was kept",
    "restored": "number of sources whose state is restored from the log",
    "records_again": "number of offsets that are flushed already and are folded again",
    "pending_cells": "cells in memory that are not flushed",
    "engine": "`Kafka` or `ClickHouse`",
    "reason": "why, in the words of whoever refused",
    "waiting": "what waits for it",
    "seconds": "how long",
    "hours": "number of hours that were sealed",
    "corrected": "number of those whose counts differ from what was sealed before",
    "cuts": "number of cuts that were published",
    "restarts": "how often in a row a worker ended and began anew",
    "exit_code": "exit code of the process",
    "remedy": "what a person can do",
    "left_out": "number of lines of the same kind that were not written before this one",
    "exception": "traceback; texts that may quote a record are left out",
}
