"""`python -m streams.cli` is the same as `pintally`."""

from streams.cli import main

main()
