// Small steps on the document. Values only ever become text (textContent) or attributes, never markup.

export const byId = (id) => document.getElementById(id);

/** Set a node's text; untouched if it says that already, so that a selection and a screen reader are left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const say = (id, text) => setText(byId(id), text);

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function element(name, className = "", text = "") {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

/** Make `parent` have one child for each item, in order. A child is kept while its item's key is there. */
export function keyed(parent, items, keyOf, make, fill) {
  const there = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, place) => {
    const key = keyOf(item);
    let child = there.get(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
    }
    there.delete(key);
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
    fill(child, item);
  });
  for (const gone of there.values()) gone.remove();
}

/** A row whose first cell is its header. `classes` has one class for each cell. */
export function row(classes) {
  const tr = element("tr");
  classes.forEach((className, place) => {
    const cell = element(place ? "td" : "th", className);
    if (!place) cell.scope = "row";
    tr.append(cell);
  });
  return tr;
}

/** Rows of a table's body; `cells` gives the texts of an item, and `mark` may do more with the row. */
export function rows(tableId, items, keyOf, classes, cells, mark = () => {}) {
  keyed(byId(tableId).tBodies[0], items, keyOf, () => row(classes), (tr, item) => {
    cells(item).forEach((text, place) => {
      if (text !== null) setText(tr.cells[place], text);
    });
    mark(tr, item);
  });
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}
