"""What to emulate, and the margins within which the outcome of each record is known before it is sent."""

from dataclasses import dataclass

from pintally.schemas.errors import PintallyError
from pintally.schemas.rules import DAY_MS, HOUR_MS, MINUTE_MS, Rules

SLOWEST_SHARE = 0.4  # of the mean rate is the rate at the quietest hour
MOST_EFFECT = 1.5  # no close-up is followed by more than one save
DUPLICATE_REACH_MS = 5 * MINUTE_MS  # a duplicate comes at most this long after its original


class PlanRefused(PintallyError):
    """With this plan and these rules the emulator could not know what must be counted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. Shares are parts of all records, from 0 to 1; the rest is on time and counted."""

    events: int | None = 100_000  # records in all, every outcome included; None: until stopped
    rate: float | None = None  # records a second as time goes by; None: `events` of the last `span_ms`, at once
    seed: int = 1
    span_ms: int = 30 * MINUTE_MS  # event time covered when there is no rate
    pins: int = 100_000
    duplicates: float = 0.01
    late: float = 0.002
    broken: float = 0.001
    bots: float = 0.0  # of those that are not duplicates are of bots
    effect: float = 0.0  # by this share people in the arm `treatment` save more often after a close-up
    keeps_times: bool = False  # the topics keep the timestamps that records are sent with (CreateTime)

    @property
    def live(self) -> bool:
        """Whether event time follows the wall clock."""
        return self.rate is not None


@dataclass(frozen=True, slots=True)
class Margins:
    """How far events stay from the borders between outcomes. Milliseconds, except `duplicate_gap`."""

    delay: int  # the longest delivery delay of an event that is on time
    slack: int  # how long after its planned arrival a record may be appended before its outcome is uncertain
    late_from: int  # a late event is at least this much older than its arrival
    late_to: int  # and at most this much
    too_old: int  # an invalid event that is older than the tables keep
    future: int  # an invalid event from the future leads its arrival by this
    duplicate_gap: int  # records between an original and its duplicate, before others come between


def margins(plan: Plan, rules: Rules) -> Margins:
    """The margins for `plan` under `rules`. Raises PlanRefused if one of them would not hold."""
    _check_shares(plan)
    lateness = rules.allowed_lateness_ms
    span = 0 if plan.live or plan.keeps_times else plan.span_ms  # the broker stamps all of it with one time
    delay = min(5 * MINUTE_MS, lateness // 10)
    reserve = min(MINUTE_MS, lateness // 20)  # clocks of this machine and of the broker may differ
    reach = min(DUPLICATE_REACH_MS, lateness // 10)
    slack = lateness - span - delay - reach - reserve
    if slack < min(MINUTE_MS, lateness // 4) or slack <= 0:
        longest = (lateness - delay - reach - reserve - min(MINUTE_MS, lateness // 4)) // MINUTE_MS
        raise PlanRefused(
            f"{span / MINUTE_MS:g} minutes of events cannot all be on time when the allowed lateness is "
            f"{lateness / 1000:g} s",
            f"Choose --span {longest} or less, or raise PINTALLY_ALLOWED_LATENESS_SECONDS."
            if longest > 0
            else "Raise PINTALLY_ALLOWED_LATENESS_SECONDS.",
        )
    late_from = lateness + MINUTE_MS + reserve
    late_to = late_from + min(2 * HOUR_MS, lateness)
    if plan.late and late_to + span + slack >= rules.retention_ms:
        raise PlanRefused(
            f"late events would be older than the {rules.retention_ms / DAY_MS:g} days that the tables keep",
            "Choose --late 0, or raise PINTALLY_RETENTION_DAYS.",
        )
    return Margins(
        delay=delay,
        slack=slack,
        late_from=late_from,
        late_to=late_to,
        too_old=rules.retention_ms + DAY_MS,
        future=rules.max_clock_skew_ms + lateness + DAY_MS,
        duplicate_gap=_duplicate_gap(plan, rules, reach),
    )


def _duplicate_gap(plan: Plan, rules: Rules, reach: int) -> int:
    """The largest gap with which a duplicate's outcome is certain.

    It stands 3 * gap + 2 records behind its original at most (1 if gap is 0): that is at most `slice_records`, and at
    most `reach` ms, so that its block and its bucket are the original's or the next, and it is not late.
    """
    slowest = plan.rate or SLOWEST_SHARE * (plan.events or 1) / (plan.span_ms / 1000)  # records a second
    if slowest * reach < 1000 and plan.duplicates * (plan.events or DAY_MS) >= 1:
        raise PlanRefused(
            f"with more than {reach / 1000:g} s between records a duplicate could come too late to be recognised",
            "Choose --duplicates 0, more --events, or a higher --rate.",
        )
    return min(400, (rules.slice_records - 1) // 4, int(slowest * reach / 5000))


def _check_shares(plan: Plan) -> None:
    shares = {"--duplicates": plan.duplicates, "--late": plan.late, "--broken": plan.broken}
    for name, share in shares.items():
        if not 0 <= share <= 0.4:
            raise PlanRefused(f"{name} {share:g} is not a share of 0 to 0.4", f"Choose {name} between 0 and 0.4.")
    if not 0 <= plan.bots <= 1:
        raise PlanRefused(f"--bots {plan.bots:g} is not a share of 0 to 1", "Choose --bots between 0 and 1.")
    if not -1 <= plan.effect <= MOST_EFFECT:
        raise PlanRefused(
            f"--effect {plan.effect:g} is not a share of -1 to {MOST_EFFECT:g}",
            "Choose 0.1 for a tenth more saves, or -0.1 for a tenth less.",
        )
    if sum(shares.values()) > 0.5:
        raise PlanRefused(
            f"{' and '.join(shares)} together are {sum(shares.values()):g}", "Leave at least half of the records good."
        )
    if plan.pins < 1 or plan.span_ms < 1000 or (plan.events is not None and plan.events < 0):
        raise PlanRefused(
            f"--pins {plan.pins}, --span {plan.span_ms / MINUTE_MS:g} or --events {plan.events} is too small",
            "Choose at least 1 pin, 1 second and 0 events.",
        )
    if plan.rate is not None and plan.rate <= 0:
        raise PlanRefused(f"--rate {plan.rate:g} is not above 0", "Choose records a second, for example --rate 1000.")
    if plan.rate is None and plan.events is None:
        raise PlanRefused("without --rate there must be a number of events", "Give --events or --rate.")
