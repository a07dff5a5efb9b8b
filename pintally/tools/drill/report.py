"""What a drill did, what it found, and its verdict."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

MIB = 1024 * 1024
EXACT, FAILED, INCONCLUSIVE = 0, 1, 2
WORDS = {
    EXACT: "exact, and every fault took effect",
    FAILED: "FAILED",
    INCONCLUSIVE: "INCONCLUSIVE: it proves nothing",
}


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault that was injected."""

    at: float  # seconds since the drill began
    seconds: float
    name: str
    took_effect: bool
    evidence: str  # or why there is none


@dataclass(slots=True)
class Report:
    """Filled as the drill goes on; `failures` and `inconclusive` are the reasons of the verdict."""

    seed: int
    workers: int
    rate: float
    claimed: tuple[str, ...]
    minutes: float = 0.0
    injections: list[Injection] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    lag: int | None = None
    happened: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)  # what tracebacks in the workers' logs end with
    ended_by_themselves: dict[str, list[int]] = field(default_factory=dict)
    looks: int = 0
    unanswered: int = 0
    final_windows: int = 0
    violations: list[str] = field(default_factory=list)
    truth: str = "not compared"
    beside: dict[str, int] = field(default_factory=dict)  # rows of what is counted beside pin-minutes, by table
    peak_mib: int = 0
    budget_mib: int = 0
    verify: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    inconclusive: list[str] = field(default_factory=list)
    folder: str = ""

    @property
    def exit_code(self) -> int:
        """0 exact and every claimed fault took effect, 1 failed, 2 inconclusive or could not tell."""
        return FAILED if self.failures else INCONCLUSIVE if self.inconclusive else EXACT

    @property
    def events(self) -> int:
        """Offsets that the ledger covers, every outcome included."""
        return sum(self.outcomes.values())

    def faults(self) -> dict[str, dict[str, Any]]:
        """Of each claimed fault: how often it was injected, how often it took effect, and the last evidence."""
        injected = Counter(each.name for each in self.injections)
        effects = Counter(each.name for each in self.injections if each.took_effect)
        evidence = {each.name: each.evidence for each in sorted(self.injections, key=lambda each: each.took_effect)}
        return {
            name: {
                "injected": injected[name],
                "took_effect": effects[name],
                "evidence": evidence.get(name, "never injected"),
            }
            for name in self.claimed
        }

    def without_effect(self) -> list[str]:
        """Claimed faults that never took effect."""
        return [name for name, told in self.faults().items() if not told["took_effect"]]

    def to_dict(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "exit_code": self.exit_code,
            "verdict": WORDS[self.exit_code],
            "failures": self.failures,
            "inconclusive": self.inconclusive,
            "seed": self.seed,
            "minutes": round(self.minutes, 1),
            "workers": self.workers,
            "rate": self.rate,
            "events": self.events,
            "outcomes": self.outcomes,
            "sent": self.sent,
            "truth": self.truth,
            "beside": self.beside,
            "lag": self.lag,
            "injected": len(self.injections),
            "took_effect": sum(each.took_effect for each in self.injections),
            "faults": self.faults(),
            "happened": self.happened,
            "errors": self.errors,
            "ended_by_themselves": self.ended_by_themselves,
            "reader": {
                "looks": self.looks,
                "unanswered": self.unanswered,
                "final_windows": self.final_windows,
                "violations": self.violations,
            },
            "memory": {"peak_mib": self.peak_mib, "budget_mib": self.budget_mib},
            "verify": self.verify,
            "injections": [asdict(each) for each in self.injections],
            "folder": self.folder,
        }

    def text(self) -> str:
        """For people."""
        effects = sum(each.took_effect for each in self.injections)
        width = max(map(len, self.claimed), default=5)
        lines = [
            f"drill with seed {self.seed}: {self.minutes:.1f} minutes, {self.workers} workers, "
            f"{self.rate:,.0f} events a second",
            "",
            f"{'fault':<{width}}  injected  took effect  evidence of the last one",
            *(
                f"{name:<{width}}  {told['injected']:>8}  {told['took_effect']:>11}  {told['evidence']}"
                for name, told in self.faults().items()
            ),
            f"{'all':<{width}}  {len(self.injections):>8}  {effects:>11}",
            "",
            "what happened to the workers",
            *(f"  {what.replace('_', ' '):<24} {times:>7,}" for what, times in self.happened.items() if times),
            *(f"  {times:,} times {error}" for error, times in self.errors.items()),
            *(f"  {name} ended by itself with codes {codes}" for name, codes in self.ended_by_themselves.items()),
            "",
            f"events   {self.events:,} ({', '.join(f'{n:,} {outcome}' for outcome, n in self.outcomes.items())})",
            f"truth    {self.truth}",
            f"beside   {', '.join(f'{rows:,} rows of {table}' for table, rows in self.beside.items())}",
            f"lag      {'unknown' if self.lag is None else f'{self.lag:,}'}",
            f"reader   {self.looks:,} looks, {self.unanswered:,} without an answer, {self.final_windows:,} final "
            f"windows, {len(self.violations)} violations",
            f"memory   {self.peak_mib:,} MiB at most in one worker, budget {self.budget_mib:,} MiB",
            f"verify   {self.verify.get('words', 'not asked')}",
            "",
            *(f"failed: {reason}" for reason in self.failures),
            *(f"inconclusive: {reason}" for reason in self.inconclusive),
            f"verdict  {WORDS[self.exit_code]} (exit code {self.exit_code})",
        ]
        return "\n".join(lines)
