"""What the exit codes of all commands mean. `make readme` writes README's table from it."""

from pintally.schemas.errors import DIFFERS, DONE, FOR_A_PERSON, TRY_AGAIN

EXIT_CODES = {
    DONE: "done. For `verify`: every count is exact. For `worker`: it was told to stop, and stopped",
    DIFFERS: "`verify` or `drill` found and printed a difference; `explain` found nothing; "
    "`dlq replay` left out dead letters",
    FOR_A_PERSON: "a person must act: the message says what is wrong and what to do, or is a traceback to report. "
    "For `verify`: it cannot tell whether counts are exact",
    TRY_AGAIN: "try again: Kafka or ClickHouse did not answer, or the disk is full. For `worker`: start it again, it "
    "continues",
    130: "interrupted by Ctrl-C",
}
