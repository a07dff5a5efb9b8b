"""Where counts land: the sink's contract, ClickHouse, memory, its schema and sealing."""
