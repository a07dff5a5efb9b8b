"""The drill: faults on real engines, and the verdict of `verify` after them."""
