// The five figures below the sentence.

import { say } from "./dom.js";
import { clock, count, duration, minute, NONE, rate } from "./format.js";

export function showFigures(state) {
  say("f-lag", count(state.lag));
  say("f-lag-note", state.lag ? `records, ${duration(state.lag_seconds)} behind` : "records");
  const counted = state.outcomes.filter((each) => each.outcome === "counted");
  say("f-rate", rate(counted.reduce((sum, each) => sum + each.per_second, 0)));
  const { freshness_p99: p99 } = state.workers;
  say("f-fresh", p99 === null ? NONE : duration(p99));
  say("f-fresh-note", p99 === null ? "no flush in the last minute" : "for 99% of records");
  const until = state.sealing.sealed_until;
  say("f-final", until === null ? NONE : minute(until, until));
  say("f-final-note", until === null ? "no hour is sealed yet" : note(until, state.looked_at));
  say("f-letters", count(state.dead_letters.reduce((sum, each) => sum + each.records, 0)));
}

const note = (until, now) => (clock(until, now).length > 8 ? `UTC, ${clock(until, now).slice(0, 10)}` : "UTC");
