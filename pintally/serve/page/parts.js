// Sealing, top pins, dead letters, workers, and what was proved.

import { byId, rows, say, setAttribute } from "./dom.js";
import { age, clock, count, minute, NONE, percent } from "./format.js";
import { drawSparkline } from "./sparkline.js";

export function showSealing({ sealing, looked_at: now }) {
  const utc = (seconds) => (seconds === null ? "none yet" : `${minute(seconds, now)} UTC`);
  say("sealed-until", sealing.sealed_until === null ? "none yet" : `before ${utc(sealing.sealed_until)}`);
  say("newest-cut", utc(sealing.newest_cut));
  say("open-hours", count(sealing.open_hours));
  say("held-by", sealing.held_by ?? NONE);
  say("held-at", sealing.held_at === null ? NONE : `${clock(sealing.held_at, now)} UTC`);
}

export function showTop({ top }) {
  byId("top-empty").hidden = top.length > 0;
  rows("top", top, (pin) => pin.pin_id, ["id", "n", "spark"], (pin) => [pin.pin_id, count(pin.events), null],
    (tr, pin) => drawSparkline(tr.cells[2], pin.by_minute));
}

export function showLetters({ dead_letters: letters }) {
  byId("letters-empty").hidden = letters.length > 0;
  const key = (each) => `${each.topic} ${each.outcome} ${each.field}`;
  const cells = (each) => [each.topic, each.outcome, each.field, count(each.records), each.reason];
  rows("letters", letters, key, ["name", "", "", "n", "reason"], cells);
}

const NAMES = { kafka: "Kafka", clickhouse: "ClickHouse" };
const CUT_OFF_S = 2;

function workerWord(worker, now) {
  if (!worker.answers) {
    const lasts = worker.silent_since ? ` for ${age(now - worker.silent_since)}` : "";
    return worker.ended ? `■ ended${lasts ? lasts.replace(" for", "") + " ago" : ""}` : `■ no answer${lasts}`;
  }
  const cut = Object.keys(worker.away).filter((engine) => worker.away[engine] > CUT_OFF_S);
  if (cut.length) return `▲ waits for ${cut.map((engine) => NAMES[engine]).join(" and ")}`;
  if (worker.restoring) return "◐ restoring";
  return worker.paused ? "▲ paused" : "● answers";
}

export function showWorkers({ workers: { known }, looked_at: now }) {
  byId("workers-empty").hidden = known.length > 0;
  byId("workers").hidden = known.length === 0;
  const answers = known.filter((worker) => worker.answers).length;
  say("workers-note", known.length ? `${answers} of ${known.length} answer` : "");
  const cells = (worker) => [
    worker.member ?? NONE,
    worker.address,
    workerWord(worker, now),
    ...(worker.answers
      ? [
          count(worker.partitions),
          count(worker.paused),
          count(worker.pending_cells),
          worker.pending_cells_limit ? percent(worker.pending_cells / worker.pending_cells_limit) : NONE,
        ]
      : [NONE, NONE, NONE, NONE]),
  ];
  const mark = (tr, worker) =>
    setAttribute(tr, "data-state", !worker.answers ? "stalled" : isWaiting(worker) ? "behind" : "ok");
  rows("workers", known, (worker) => worker.address, ["name", "", "state", "n", "n", "n", "n"], cells, mark);
}

const isWaiting = (worker) => worker.paused || worker.restoring || Object.keys(worker.away).length > 0;

export function showProof({ verified, lost_records: lost, looked_at: now }) {
  byId("verified-empty").hidden = verified.length > 0;
  byId("verified").hidden = verified.length === 0;
  const scope = (run) => (run.share < 1 ? `${run.scope}, ${percent(run.share)}` : run.scope);
  const found = (run) => {
    if (!run.differences) return "● exact";
    return `■ ${count(run.differences)} ${run.differences === 1 ? "difference" : "differences"}`;
  };
  rows("verified", verified, (run) => run.scope, ["name", "state", "n", "n"],
    (run) => [scope(run), found(run), count(run.records), age(now - run.at)],
    (tr, run) => setAttribute(tr, "data-state", run.differences ? "stalled" : "ok"));
  say("lost", lost ? `■ ${count(lost)}` : "none");
  setAttribute(byId("lost"), "data-state", lost ? "stalled" : "none");
}
