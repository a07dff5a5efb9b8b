"""For trying and proving: local engines, traffic, faults. A worker needs none of it."""
