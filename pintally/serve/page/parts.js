// Sealing, top pins, dead letters, workers, and what was proved.

import { byId, rows, say, setAttribute } from "./dom.js";
import { age, clock, count, minute, NONE, percent } from "./format.js";
import { drawSparkline } from "./sparkline.js";

export function showSealing({ sealing, looked_at: now }) {
  const utc = (seconds) => (seconds === null ? "none yet" : `${minute(seconds, now)} UTC`);
  say("sealed-until", utc(sealing.sealed_until));
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

function workerWord(worker) {
  if (!worker.answers) return "■ no answer";
  if (worker.restoring) return "◐ restoring";
  return worker.paused ? "▲ paused" : "● answers";
}

export function showWorkers({ workers: { known } }) {
  byId("workers-empty").hidden = known.length > 0;
  byId("workers").hidden = known.length === 0;
  const answers = known.filter((worker) => worker.answers).length;
  say("workers-note", known.length ? `${answers} of ${known.length} answer` : "");
  const cells = (worker) => [
    worker.address,
    workerWord(worker),
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
    setAttribute(tr, "data-state", !worker.answers ? "stalled" : worker.paused || worker.restoring ? "behind" : "ok");
  rows("workers", known, (worker) => worker.address, ["name", "state", "n", "n", "n", "n"], cells, mark);
}

export function showProof({ verified, lost_records: lost, looked_at: now }) {
  say("verified-at", verified ? `${minute(verified.at, now)} UTC, ${age(now - verified.at)} ago` : "never");
  say("verified-records", verified ? count(verified.records) : NONE);
  say("differences", !verified ? NONE : verified.differences ? `■ ${count(verified.differences)}` : "● none: exact");
  setAttribute(byId("differences"), "data-state", verified?.differences ? "stalled" : verified ? "ok" : "none");
  say("lost", lost ? `■ ${count(lost)}` : "none");
  setAttribute(byId("lost"), "data-state", lost ? "stalled" : "none");
}
