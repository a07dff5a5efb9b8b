// How fresh counts are, and what a flush spends its time on.

import { Chart } from "./chart.js";
import { byId, rows, say, setAttribute, svg } from "./dom.js";
import { duration } from "./format.js";

const lines = new Chart(byId("fresh-chart"), 120, duration);

export const VISIBLE_S = 15; // so long after records became visible their freshness is that of now

/** Half and 99% of the records of the last minute; null if nothing became visible of late. */
export function freshnessOf({ workers, looked_at: now }) {
  const late = workers.visible_at === null || now - workers.visible_at > VISIBLE_S;
  return late ? { p50: null, p99: null } : { p50: workers.freshness_p50, p99: workers.freshness_p99 };
}

export function showFreshness(state) {
  const { p50, p99 } = freshnessOf(state);
  lines.add(state.looked_at, new Map([["p50", p50], ["p99", p99]]));
  byId("fresh-empty").hidden = p99 !== null;
  byId("fresh-chart").hidden = p99 === null;
  say("p50", duration(p50));
  say("p99", duration(p99));
  if (p99 === null) return;
  lines.show(["p99", "p50"]);
  const words = `Freshness over the last minutes, now: half within ${duration(p50)}, 99% within ${duration(p99)}`;
  setAttribute(byId("fresh-chart"), "aria-label", words);
}

export function showSteps({ workers: { steps } }) {
  byId("steps").hidden = steps.length === 0;
  const most = Math.max(...steps.map((step) => step.seconds), 1e-9);
  const cells = (step) => [step.step.replaceAll("_", " "), null, duration(step.seconds)];
  rows("steps", steps, (step) => step.step, ["", "bar", "n"], cells, (tr, step) => drawBar(tr.cells[1], step.seconds / most));
}

function drawBar(cell, share) {
  if (!cell.firstChild) {
    const picture = svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
    picture.append(svg("rect", { height: 8 }));
    cell.append(picture);
  }
  setAttribute(cell.firstChild.firstChild, "width", Math.max(0.5, share * 100).toFixed(1));
}
