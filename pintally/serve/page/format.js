// Numbers, durations and times as people read them. Times are UTC.

const whole = new Intl.NumberFormat("en");
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const NONE = "–";

export const count = (value) => (value === null ? NONE : whole.format(value));

/** A rate: a digit after the point only where it matters. */
export function rate(value) {
  if (value === null) return NONE;
  return value > 0 && value < 10 ? tenths.format(value) : whole.format(Math.round(value));
}

/** The sum; null if a part of it is not known. */
export const sumOf = (values) => (values.includes(null) ? null : values.reduce((sum, value) => sum + value, 0));

export const percent = (share) => `${share > 0 && share < 0.01 ? "under 1" : Math.round(share * 100)}%`;

/** A duration in at most two units: `12 ms`, `0.8 s`, `42 s`, `3 min 5 s`, `2 h 10 min`, `6 d 3 h`. */
export function duration(seconds) {
  if (seconds === null) return NONE;
  if (seconds > 0 && seconds < 0.1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 9.95) return `${tenths.format(seconds)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  const [d, h, min] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  if (d) return h ? `${whole.format(d)} d ${h} h` : `${whole.format(d)} d`;
  if (h) return min ? `${h} h ${min} min` : `${h} h`;
  return s % 60 ? `${min} min ${s % 60} s` : `${min} min`;
}

/** An age in whole seconds, so that it ticks. */
export const age = (seconds) => duration(Math.max(0, Math.floor(seconds)) || 0).replace(".0 s", " s");

const iso = (seconds) => new Date(seconds * 1000).toISOString();

/** `14:02:31`, with the date if it is not `today` (Unix seconds). */
export function clock(seconds, today) {
  if (seconds === null) return NONE;
  const time = iso(seconds).slice(11, 19);
  return iso(seconds).slice(0, 10) === iso(today).slice(0, 10) ? time : `${iso(seconds).slice(0, 10)} ${time}`;
}

/** As `clock`, without seconds. */
export const minute = (seconds, today) => (seconds === null ? NONE : clock(seconds, today).slice(0, -3));

export const sourceName = (source) => `${source.topic}[${source.partition}]`;
