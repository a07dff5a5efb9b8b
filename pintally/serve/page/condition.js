// What stands first: the sentence, in the tab's title too; what is away, with the age of what is shown.

import { byId, element, keyed, say, setAttribute, setText } from "./dom.js";
import { age, clock } from "./format.js";

const WORDS = { ok: "All well", warning: "Warning", behind: "Behind", stopped: "Stopped", wrong: "Wrong", unknown: "Unknown" };
const NAMES = { kafka: "Kafka", clickhouse: "ClickHouse" };
const UNKNOWN = { level: "unknown", detail: null, since: null, command: null, runbook: null };
const LOST = "Counting does not depend on it. Does the process of pintally serve run, and is the network up?";
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
  const { level, sentence, detail, since, command, runbook } = condition(connection);
  setAttribute(byId("condition"), "data-level", level);
  setAttribute(byId("icon"), "href", `/page/icon-${level}.svg`);
  say("level", WORDS[level]);
  say("sentence", together(sentence));
  announce(sentence);
  const title = `${WORDS[level]}: ${sentence} – Pintally`;
  if (document.title !== title) document.title = title;
  byId("remedy").hidden = !command;
  say("command", command ?? "");
  byId("detail").hidden = !detail;
  say("detail", detail ?? "");
  showMore(since, runbook, connection.state?.looked_at);
  showOthers(connection.state && !lost(connection) ? connection.state.others : []);
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

/** Since when, and the place in the documentation: `runbook` is an anchor in docs/runbook.md. */
function showMore(since, runbook, now) {
  byId("more").hidden = !runbook;
  say("since", since && now ? `Since ${clock(since, now)} UTC.` : "");
  say("runbook", runbook ? `docs/runbook.md#${runbook}` : "");
}

/** What else is wrong, each with its command. */
function showOthers(others) {
  byId("others").hidden = others.length === 0;
  keyed(byId("others").querySelector("ul"), others, (each) => each.kind, makeOther, (item, each) => {
    setAttribute(item, "data-level", each.level);
    const [word, sentence, detail, command] = item.children;
    setText(word, WORDS[each.level]);
    setText(sentence, together(each.sentence));
    setText(detail, each.detail ?? "");
    setText(command, each.command ?? "");
    command.hidden = !each.command;
  });
}

function makeOther() {
  const item = element("li");
  item.append(element("span", "level"), element("p"), element("p", "detail"), element("code"));
  return item;
}

/** How old what comes from an engine is; 0 if it answers. */
export function engineAge(connection, engine) {
  const since = connection.state.away[engine];
  return since === undefined ? 0 : connection.age + Math.max(0, connection.state.looked_at - since);
}

export function showAway(connection) {
  const { state } = connection;
  const away = state ? Object.keys(state.away) : [];
  keyed(byId("notices"), away, (engine) => engine, () => element("li"), (item, engine) => {
    setText(item, `What comes from ${NAMES[engine]} is ${age(engineAge(connection, engine))} old.`);
  });
  if (state) for (const part of document.querySelectorAll("[data-of]")) markPart(part, ageOf(connection, part.dataset.of));
}

function ageOf(connection, of) {
  const engines = { both: ["kafka", "clickhouse"], clickhouse: ["clickhouse"], workers: [] }[of];
  return Math.max(lost(connection) ? connection.age : 0, ...engines.map((engine) => engineAge(connection, engine)));
}

/** Mark a part of the page with the age of what it shows, if that is not of now. */
function markPart(part, seconds) {
  part.classList.toggle("old", seconds > 0);
  let tag = part.querySelector(".age");
  if (!tag) {
    tag = element("span", "age");
    const heading = part.querySelector("h2");
    if (heading) heading.after(tag);
    else part.querySelector("dt").append(" ", tag); // a <dl> has nothing beside its terms and their values
  }
  tag.hidden = !(seconds > 0);
  setText(tag, seconds > 0 ? `${age(seconds)} old` : "");
}

export function showLink(connection) {
  const { state, open } = connection;
  say("link", open ? "Live" : state ? "Connecting again" : "Connecting");
  setAttribute(byId("link"), "data-open", open);
  if (!state) return;
  say("version", state.version);
  say("looked", `${clock(state.looked_at, state.looked_at)} UTC, ${age(connection.age)} ago`);
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
