// A chart of lines over the last minutes, drawn by uPlot in the page's own colours.

const KEPT_S = 600;
export const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3], [14, 4], [4, 2, 1, 2]];

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const colour = (place) => `--line-${(place % 6) + 1}`;

/** Lines by name; a point a document, of the last ten minutes. */
export class Chart {
  #box;
  #plot = null;
  #height;
  #format;
  #names = [];
  #times = [];
  #values = new Map(); // name to values, as long as the times

  constructor(box, height, format) {
    [this.#box, this.#height, this.#format] = [box, height, format];
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#make());
  }

  /** Add what is known at a time: a Map of name to value. */
  add(time, values) {
    if (this.#times.at(-1) >= time) return;
    this.#times.push(time);
    for (const name of new Set([...this.#values.keys(), ...values.keys()])) {
      const line = this.#values.get(name) ?? Array(this.#times.length - 1).fill(null);
      line.push(values.get(name) ?? null);
      this.#values.set(name, line);
    }
    while (this.#times[0] < time - KEPT_S) {
      this.#times.shift();
      for (const line of this.#values.values()) line.shift();
    }
  }

  /** Show the lines of these names, in this order. */
  show(names) {
    const same = names.join("\n") === this.#names.join("\n");
    this.#names = names;
    if (!this.#plot || !same) this.#make();
    else this.#plot.setData(this.#data());
  }

  #data() {
    const none = () => Array(this.#times.length).fill(null);
    return [this.#times, ...this.#names.map((name) => this.#values.get(name) ?? none())];
  }

  #size() {
    return { width: Math.max(160, this.#box.clientWidth), height: this.#height };
  }

  #make() {
    if (!this.#names.length) return;
    this.#plot?.destroy();
    this.#plot = new window.uPlot(this.#options(), this.#data(), this.#box);
  }

  #options() {
    const line = { stroke: style("--rule"), width: 1 };
    const axis = { stroke: style("--muted"), font: `12px ${style("--font")}`, ticks: { show: false } };
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 30, 0, 0],
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: {
        x: { time: true, range: (_, __, max) => [max - this.#span(), max] },
        y: { range: (_, __, max) => [0, (max || 1) * 1.1] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 28, space: 70, values: (_, ticks) => ticks.map(this.#hour) },
        { ...axis, grid: line, size: 58, space: 28, values: (_, ticks) => ticks.map(this.#format) },
      ],
      series: [{}, ...this.#names.map((name, place) => this.#series(name, place))],
    };
  }

  /** At least a minute is drawn, at most ten. */
  #span() {
    return Math.min(KEPT_S, Math.max(60, this.#times.at(-1) - this.#times[0]));
  }

  #hour = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);

  #series(label, place) {
    return { label, stroke: style(colour(place)), width: 2, dash: DASHES[place % 6], points: { show: false }, spanGaps: false };
  }
}
