"""`repair` (C20): finds slices whose rows differ from the log, recounts them and rewrites their rows.

Workers may run meanwhile. The log as it is now decides, with the rules that the ledger has for the slice.
"""

from collections.abc import Callable

from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.recovery import is_retired, least_lateness
from pintally.streams.operations.change.cluster_state import ClusterState
from pintally.streams.operations.repair.choice import Choice, Repair
from pintally.streams.operations.repair.cuts_ahead import sources_before_cut
from pintally.streams.operations.repair.source import SourceRepair
from pintally.streams.settings import KafkaSettings, RulesSettings, TopicSettings


def repair(
    kafka: KafkaSettings,
    topics: TopicSettings,
    rules: RulesSettings,
    session: MaintenanceSession,
    found: ClusterState,
    choice: Choice,
    tell: Callable[[str], None] = lambda _: None,
) -> Repair:
    """Repair all sources that Kafka lists.

    1. Superseded rows are deleted.
    2. Holes in the ledger are recounted, one after the other, until the slices join.
    3. Slices whose cells or dead letters do not add up to their ledger row, and slices that were chosen, are recounted
       and rewritten (see `streams.operations.repair.rewrite`).
    4. Orphaned rows are deleted: cells of slices that the log does not have.
    5. Sealed hours that do not add up, or were sealed too early, are opened until the next sealing; so are windows of
       features that are not what their cells say. Cuts that are gone between others are put back. Sources that have
       not reached the newest cut are told.

    Safe to interrupt and to run again. Raises KafkaUnavailable, SinkUnavailable and SinkError.
    """
    done = Repair()
    session.delete_superseded()
    for source, offsets in found.offsets.items():
        if found.ledgers[source].starts and (not choice.only_named or choice.touches(source)):
            tell(str(source))
            SourceRepair(kafka, topics, session, source, offsets, choice, done, rules.keys).run()
    for source, ledger in found.started.items():
        if source not in found.offsets and not is_retired(ledger) and choice.touches(source):
            done.gone.append(f"{source} of UUID {source.topic_id}: Kafka no longer has this topic")
    done.opened = list(session.reopen_unequal())
    done.before_cut = list(sources_before_cut(kafka, session, list(found.offsets)))
    session.reopen_early(least_lateness(rules.to_rules(), found.ledgers.values()))
    done.gone = list(dict.fromkeys(done.gone))
    return done
