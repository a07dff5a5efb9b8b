// A row of bars as inline SVG: one for each minute, the newest on the right. Its words say what it shows.

import { setAttribute, svg } from "./dom.js";
import { count } from "./format.js";

const [WIDTH, HEIGHT, GAP] = [180, 24, 1];

export function drawSparkline(cell, values) {
  const key = values.join(" ");
  if (cell.dataset.values === key) return;
  cell.dataset.values = key;
  const most = Math.max(1, ...values);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none" });
  setAttribute(picture, "aria-label", words(values));
  const step = WIDTH / Math.max(1, values.length);
  values.forEach((value, place) => {
    const height = value ? Math.max(1.5, (value / most) * HEIGHT) : 0;
    picture.append(svg("rect", { x: place * step, y: HEIGHT - height, width: Math.max(1, step - GAP), height }));
  });
  cell.replaceChildren(picture);
}

function words(values) {
  if (!values.length) return "no minutes";
  return `last minute ${count(values.at(-1))}, most in a minute ${count(Math.max(...values))}`;
}
