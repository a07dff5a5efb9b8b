"""The log of a process: one line an event, as text or as JSON, on stderr."""
