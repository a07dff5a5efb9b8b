"""The counting core: pure, no I/O, no wall clock. Imports schemas alone."""
