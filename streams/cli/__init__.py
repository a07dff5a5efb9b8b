"""The command `pintally`: one file a subcommand."""
