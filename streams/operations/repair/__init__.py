"""Repair: find rows that differ from the log, recount them, and rewrite them while workers run."""
