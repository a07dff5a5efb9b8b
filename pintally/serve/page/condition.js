// What stands first: the sentence, in the tab's title too; and the age of what is not of now.

import { byId, element, keyed, say, setAttribute, setText } from "./dom.js";
import { age, clock } from "./format.js";

const WORDS = { ok: "All well", warning: "Warning", behind: "Behind", stopped: "Stopped", wrong: "Problem", unknown: "Unknown" };
const UNKNOWN = { level: "unknown", detail: null, since: null, command: null, then: [], checks: false, runbook: null };
const LOST = "Counting does not depend on it. Does the process of pintally serve run, and is the network up?";
const STALE = "Whether anything is lost is not known here. The counts shown are stale.";
const OLD_S = 5; // an older document is not shown as if it were of now

const lost = (connection) => connection.state && connection.age > OLD_S;

function condition(connection) {
  if (!connection.state) {
    const sentence = connection.open ? "Waiting for the first look." : "pintally serve does not answer yet.";
    return { ...UNKNOWN, sentence };
  }
  if (!lost(connection)) return connection.state.condition;
  const what = connection.open ? "pintally serve has not looked" : "No connection to pintally serve";
  return { ...UNKNOWN, sentence: `${what} for ${age(connection.age)}: what is shown is that old.`, detail: LOST };
}

export function showCondition(connection) {
  const { level, sentence, detail, since, command, then, checks, runbook } = condition(connection);
  setAttribute(byId("condition"), "data-level", level);
  setAttribute(byId("icon"), "href", `/page/icon-${level}.svg`);
  say("level", WORDS[level]);
  say("sentence", together(sentence));
  announce(sentence);
  const title = `${WORDS[level]}: ${sentence} – Pintally`;
  if (document.title !== title) document.title = title;
  byId("remedy").hidden = !command;
  say("command-word", word(checks));
  say("command", command ?? "");
  showThen(command, then);
  say("assurance", lost(connection) ? STALE : (connection.state?.assurance ?? ""));
  byId("detail").hidden = !detail;
  say("detail", detail ?? "");
  byId("more").hidden = !runbook;
  say("since", lasts(connection, since));
  say("runbook", runbook ? `docs/runbook.md#${runbook}` : "");
  showOthers(connection, connection.state && !lost(connection) ? connection.state.others : []);
  byId("last").hidden = !lost(connection);
  if (lost(connection)) say("last", `Last known: ${connection.state.condition.sentence}`);
}

/** A number and its unit stay on one line. */
const together = (sentence) => sentence.replace(/(\d) (ms|s|min|h|d)\b/g, "$1\u00a0$2");

/** A screen reader hears the sentence when it says something else, not when a number in it moves. */
function announce(sentence) {
  const node = byId("announced");
  const gist = sentence.replace(/[\d.,:]+( (ms|s|min|h|d)\b)?/g, "#");
  if (node.dataset.gist === gist) return;
  node.dataset.gist = gist;
  setText(node, sentence);
}

const word = (checks) => (checks ? "Check with" : "Run");

/** Commands to be run after the first. `And` stands before one that does the same for another worker. */
function showThen(first, commands) {
  byId("then").hidden = commands.length === 0;
  const make = () => {
    const item = element("li");
    item.append(element("span", "word"), element("code"));
    return item;
  };
  const each = commands.map((command, place) => ({ command, place })); // two may be the same
  const program = (command) => command.split(" ")[0];
  keyed(byId("then"), each, ({ place }) => `${place}`, make, (item, { command }) => {
    setText(item.firstChild, program(command) === program(first) ? "And" : "Then");
    setText(item.lastChild, command);
  });
}

/** Since when, and how long that is: the one place of a condition that says it. */
function lasts(connection, since) {
  const now = connection.state?.looked_at;
  return since && now ? `Since ${clock(since, now)} UTC, for ${age(connection.age + now - since)}.` : "";
}

/** What else is wrong, each with its command. */
function showOthers(connection, others) {
  byId("others").hidden = others.length === 0;
  keyed(byId("others").querySelector("ul"), others, (each) => each.kind, makeOther, (item, each) => {
    setAttribute(item, "data-level", each.level);
    const [level, sentence, detail, since, command] = item.children;
    setText(level, WORDS[each.level]);
    setText(since, lasts(connection, each.since));
    setText(sentence, together(each.sentence));
    setText(detail, each.detail ?? "");
    setText(command.firstChild, word(each.checks));
    setText(command.lastChild, [each.command, ...each.then].join("; "));
    command.hidden = !each.command;
  });
}

function makeOther() {
  const item = element("li");
  const command = element("p", "remedy");
  command.append(element("span", "word"), element("code"));
  item.append(element("span", "level"), element("p"), element("p", "detail"), element("p", "detail"), command);
  return item;
}

/** How old what comes from an engine is; 0 if it answers. */
export function engineAge(connection, engine) {
  const since = connection.state.away[engine];
  return since === undefined ? 0 : connection.age + Math.max(0, connection.state.looked_at - since);
}

const OF = { kafka: ["kafka"], clickhouse: ["clickhouse"], sources: ["kafka", "clickhouse"], page: [] };
const OLD_COLUMNS = { clickhouse: "position and stream time", kafka: "log end, lag and worker" };

export function showAway(connection) {
  if (!connection.state) return;
  for (const part of document.querySelectorAll("[data-of]")) {
    const away = OF[part.dataset.of].filter((engine) => engine in connection.state.away);
    const ages = away.map((engine) => engineAge(connection, engine));
    const whole = lost(connection) || part.dataset.of !== "sources" || away.length > 1;
    const what = whole || !away.length ? "" : `${OLD_COLUMNS[away[0]]} `;
    setAttribute(part, "data-old", what ? away[0] : "");
    markPart(part, Math.max(lost(connection) ? connection.age : 0, ...ages), what);
  }
}

/** Mark a part of the page with the age of what it shows, or of `what` in it, if that is not of now. */
function markPart(part, seconds, what) {
  part.classList.toggle("old", seconds > 0 && !what);
  let tag = part.querySelector(".age");
  if (!tag) {
    tag = element("span", "age");
    const heading = part.querySelector("h2");
    if (heading) heading.after(tag);
    else part.querySelector("dt").append(" ", tag); // a <dl> has nothing beside its terms and their values
  }
  tag.hidden = !(seconds > 0);
  setText(tag, seconds > 0 ? `${what}${age(seconds)} old` : "");
}

export function showLink(connection) {
  const { state, open } = connection;
  const live = open && state && Object.keys(state.away).length === 0;
  say("link", live ? "Live" : open ? "Page connected" : state ? "Connecting again" : "Connecting");
  setAttribute(byId("link"), "data-open", Boolean(live));
  if (!state) return;
  say("version", state.version);
  say("looked", `looked at ${clock(state.looked_at, state.looked_at)} UTC, ${age(connection.age)} ago`);
}

export function copyOnClick() {
  const button = byId("copy");
  button.addEventListener("click", async () => {
    setText(button, (await copied(byId("command"))) ? "Copied" : "Select and copy");
    setTimeout(() => setText(button, "Copy"), 2000);
  });
}

/** Only a page of HTTPS or of this machine may use the clipboard; elsewhere the selection is copied. */
async function copied(node) {
  try {
    await navigator.clipboard.writeText(node.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(node);
    return document.execCommand("copy");
  }
}
