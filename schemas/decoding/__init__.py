"""From a record's bytes to columns, fast; the models in `schemas.events` decide."""
