// The table of sources: those that need someone come first.

import { rows, say, setAttribute } from "./dom.js";
import { clock, count, duration, NONE, sourceName } from "./format.js";

const ORDER = ["stalled", "blocked", "not started", "behind", "unknown", "ok"];
const SHAPES = { ok: "●", behind: "◐", stalled: "■", blocked: "▲", "not started": "○", unknown: "?" };
const CLASSES = ["name", "state", "n", "n", "n", "n", "n", "", "n"];

const place = (source) => ORDER.indexOf(source.state);

export function showSources(state) {
  const sources = [...state.sources].sort((a, b) => place(a) - place(b)); // a stable sort: else as they come
  rows("sources", sources, sourceName, CLASSES, (source) => cells(source, state), mark);
  say("sources-note", summary(sources));
}

/** What `ok` means: that its counting keeps up, not that its records are valid; or that nobody has anything to do. */
const word = ({ state, member }) => (state !== "ok" ? state : member === null ? "nothing waits" : "keeps up");

function cells(source, { looked_at: now, away }) {
  return [
    sourceName(source),
    `${SHAPES[source.state]} ${word(source)}${lasts(source, now)}${source.blocked && !["blocked", "unknown"].includes(source.state) ? ", blocked" : ""}`,
    count(source.lag),
    source.lag ? duration(source.lag_seconds) : NONE,
    clock(source.stream_time, now),
    count(source.position),
    count(source.log_end),
    source.member ?? "nobody",
    "kafka" in away ? "unknown" : duration(source.retention_headroom),
  ];
}

/** How long its position has stood, if that is the trouble. */
function lasts(source, now) {
  const stands = ["stalled", "blocked"].includes(source.state) && source.stands_since;
  return stands ? ` for ${duration(Math.round(now - source.stands_since))}` : "";
}

function mark(tr, source) {
  setAttribute(tr, "data-state", source.state);
  tr.cells[7].classList.toggle("nobody", source.member === null);
}

/** `12 sources: 1 stalled, 11 keep up`. They are sorted. */
function summary(sources) {
  const numbers = new Map();
  for (const source of sources) numbers.set(word(source), (numbers.get(word(source)) ?? 0) + 1);
  const parts = [...numbers].map(([name, number]) => `${number} ${number > 1 ? name.replace("keeps", "keep") : name}`);
  const of = `${sources.length} ${sources.length === 1 ? "source" : "sources"}`;
  return parts.length ? `${of}: ${parts.join(", ")}` : "none";
}
