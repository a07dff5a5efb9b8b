// The five figures below the sentence.

import { say } from "./dom.js";
import { age, clock, count, duration, minute, NONE, rate, sumOf } from "./format.js";
import { freshnessOf, VISIBLE_S } from "./freshness.js";

export function showFigures(state) {
  say("f-lag", count(state.lag));
  say("f-lag-note", lagNote(state));
  const counted = sumOf(state.outcomes.filter((each) => each.outcome === "counted").map((each) => each.per_second));
  say("f-rate", rate(counted));
  say("f-rate-note", counted === null ? "not known without ClickHouse" : "records a second");
  const { p99 } = freshnessOf(state);
  say("f-fresh", duration(p99));
  say("f-fresh-note", p99 === null ? `nothing was counted in ${VISIBLE_S}\u00a0s` : "for 99% of the last minute's records");
  const until = state.sealing.sealed_until;
  say("f-final", until === null ? NONE : `before ${minute(until, until)}`);
  say("f-final-note", until === null ? "no hour is sealed yet" : note(until, state.looked_at));
  say("f-letters", count(state.dead_letters.reduce((sum, each) => sum + each.records, 0)));
  say("f-letters-note", state.letters_at ? `in the table, ${age(state.looked_at - state.letters_at)} ago` : "in the table");
}

function lagNote({ lag, lag_seconds: behind, away }) {
  if ("kafka" in away) return "records, when Kafka last answered";
  if ("clickhouse" in away) return "records at most, without ClickHouse";
  return lag ? `records; the furthest source is ${duration(behind)} behind` : "records";
}

const note = (until, now) => (clock(until, now).length > 8 ? `UTC, ${clock(until, now).slice(0, 10)}` : "UTC");
