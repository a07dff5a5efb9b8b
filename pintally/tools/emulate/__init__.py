"""Traffic that looks real, all from one seed, with the truth about it kept beside: what must be counted, and what not.

Shares no code with the counting path, so that a mistake there cannot hide here.
"""
