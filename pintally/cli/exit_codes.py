"""What the exit codes of every command mean. README's table and the help of `pintally` are made of it."""

from pintally.schemas.errors import DIFFERS, DONE, FOR_A_PERSON, TRY_AGAIN

EXIT_CODES = {
    DONE: "done. For `verify`: every count is exact. For `worker`: it was told to stop, and did",
    DIFFERS: "`verify` or `drill` found a difference, and named it; `explain` found nothing; "
    "`dlq replay` left letters out",
    FOR_A_PERSON: "a person must act: the message names the thing, the value and the remedy. "
    "For `verify`: it could not tell",
    TRY_AGAIN: "try again: Kafka or ClickHouse did not answer, which goes away by itself. "
    "For `worker`: start it again, it counts on",
    130: "interrupted by Ctrl-C",
}
