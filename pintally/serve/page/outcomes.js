// Outcomes a second: one outcome at a time as lines by topic, all of them as a table.

import { Chart, colour, DASHES } from "./chart.js";
import { byId, element, keyed, rows, say, setAttribute, setText, svg } from "./dom.js";
import { count, rate, sumOf } from "./format.js";

const OUTCOMES = ["counted", "duplicate", "late", "invalid", "gaps"];
let chosen = "counted";
let last = null;

const lines = new Chart(byId("outcomes-chart"), 272, rate);
const name = (outcome, topic) => `${outcome} ${topic}`;

export function showOutcomes(state) {
  last = state;
  lines.add(state.looked_at, new Map(state.outcomes.map((each) => [name(each.outcome, each.topic), each.per_second])));
  showChoice(state);
  draw(state);
  const key = (each) => name(each.outcome, each.topic);
  const cells = (each) => [each.topic, each.outcome, rate(each.per_second), count(each.total)];
  rows("outcomes", state.outcomes, key, ["name", "", "n", "n"], cells);
}

const of = (state, outcome) => state.outcomes.filter((each) => each.outcome === outcome);
const sum = (rates) => sumOf(rates.map((each) => each.per_second));

/** A button for each outcome; it has the number of all topics, so that none is hidden by the choice. */
function showChoice(state) {
  keyed(byId("choice"), ["", ...OUTCOMES], (outcome) => outcome, makeChoice, (label, outcome) => {
    if (outcome) setText(label.querySelector("b"), rate(sum(of(state, outcome))));
  });
}

function makeChoice(outcome) {
  if (!outcome) return element("legend", "hidden", "Outcome in the chart");
  const [label, input] = [element("label"), element("input")];
  Object.assign(input, { type: "radio", name: "outcome", value: outcome, checked: outcome === chosen });
  input.addEventListener("change", () => {
    chosen = outcome;
    draw(last);
  });
  label.append(input, element("span", "", outcome), element("b"));
  return label;
}

function draw(state) {
  const rates = of(state, chosen);
  const shown = rates.filter((each) => each.total > 0);
  const topics = shown.length ? shown : rates;
  lines.show(topics.map((each) => name(chosen, each.topic)));
  const words = topics.map((each) => `${each.topic} ${rate(each.per_second)}`).join(", ");
  setAttribute(byId("outcomes-chart"), "aria-label", `${chosen} a second by topic, now: ${words || "nothing"}`);
  say("outcomes-note", "mean of ten seconds, since this page was opened");
  keyed(byId("outcomes-legend"), topics, (each) => each.topic, makeEntry, (item, each) => {
    drawSwatch(item.querySelector("line"), topics.indexOf(each));
    setText(item.querySelector("span"), each.topic);
    setText(item.querySelector("b"), rate(each.per_second));
  });
}

function makeEntry() {
  const item = element("li");
  const swatch = svg("svg", { viewBox: "0 0 28 8", "aria-hidden": "true" });
  swatch.append(svg("line", { x1: 0, x2: 28, y1: 4, y2: 4 }));
  item.append(swatch, element("span"), element("b"));
  return item;
}

function drawSwatch(line, place) {
  setAttribute(line, "stroke-dasharray", DASHES[place % 6].join(" ") || "none");
  line.style.stroke = `var(${colour(place)})`;
}
