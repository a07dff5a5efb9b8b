"""`python -m pintally.cli` is the same as `pintally`."""

from pintally.cli import main

main()
