"""Rows that are not what the log says: found, folded again from the log, and written anew, while workers go on."""
