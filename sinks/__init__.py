"""Where counts land: the sink's contract, ClickHouse, memory, migrations and sealing."""
