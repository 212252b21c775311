// Parts that several screens show.

import { h } from "./dom.js";
import { ago, count, plural, time } from "./format.js";

const MARKS = { good: "●", warn: "▲", bad: "■", off: "○" };

/** A state as a mark and a word: the colour is the third sign of it, never the only one. */
export function badge(kind, text) {
  return h("span", { class: `badge ${kind}` }, h("span", { class: "mark", "aria-hidden": "true" }, MARKS[kind]), ` ${text}`);
}

export function link(to, text, props = {}) {
  return h("a", { href: `#${to}`, ...props }, text);
}

export const path = (...parts) => `/${parts.map(encodeURIComponent).join("/")}`;

export function when(value, now) {
  return h("time", { title: time(value) }, ago(value, now));
}

/** A figure with its name. */
export function figure(name, value, note) {
  return h("div", { class: "figure" }, h("dt", null, name), h("dd", null, value, note ? h("small", null, ` ${note}`) : null));
}

export const figures = (...items) => h("dl", { class: "figures" }, items);

export const card = (title, ...children) => h("section", { class: "card" }, h("h2", null, title), children);

/**
 * A table in a region that can be scrolled.
 *
 * columns: {title, cell(row), sort, number}; a column with `sort` has a button that sorts by it.
 */
export function table({ name, columns, rows, key, sorted, sort, empty = "Nothing to show." }) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  const head = columns.map((column) => h("th", { scope: "col", key: column.title, class: column.number && "number", "aria-sort": direction(column, sorted) },
    column.sort ? h("button", { type: "button", class: "sort", onclick: () => sort(column.sort) }, column.title,
      h("span", { "aria-hidden": "true" }, sorted?.by === column.sort ? (sorted.down ? " ↓" : " ↑") : "")) : column.title));
  const body = rows.map((row) => h("tr", { key: key(row) }, columns.map((column, index) => h(index === 0 ? "th" : "td",
    { class: column.number ? "number" : null, scope: index === 0 ? "row" : null }, column.cell(row)))));
  return h("div", { class: "scroll", role: "region", "aria-label": name, tabindex: "0" },
    h("table", null, h("caption", { class: "hidden" }, name), h("thead", null, h("tr", null, head)), h("tbody", null, body)));
}

/** A note below a table that has only the first rows. */
export function more(all, shown, noun) {
  return all > shown ? h("p", { class: "note" }, `The first ${shown} of ${count(all)} ${noun} are shown.`) : null;
}

/** A note on the rows for which the events have no figures. */
export function leftOutNote(kind, left) {
  return left ? h("p", { class: "note" }, `Without figures: ${count(left.count)} more ${kind}, which had ${plural(left.requests, "request")} and ${plural(left.errors, "error")} in the last second. Only the 100 with most errors and requests are sent.`) : null;
}

function direction(column, sorted) {
  if (!column.sort || sorted?.by !== column.sort) return null;
  return sorted.down ? "descending" : "ascending";
}

/** Problems of a configuration, as `gateway check` prints them: with the place, and a caret under the value. */
export function problems(list, report) {
  if (report) return h("pre", { class: "report", tabindex: "0", role: "region", "aria-label": "Problems" }, report);
  return h("ul", { class: "problems" }, (list ?? []).map((each) => h("li", null,
    badge(each.severity === "warning" ? "warn" : "bad", each.severity ?? "error"), " ",
    each.file ? h("code", null, `${each.file}:${each.line}:${each.column}`) : null, " ",
    each.key ? h("code", null, each.key) : null, ` ${each.message}`, each.remedy ? `: ${each.remedy}` : "",
    (each.related ?? []).map((other) => h("div", { class: "note" }, typeof other === "string" ? other : JSON.stringify(other))))));
}

/** What became of a request that failed. */
export function failure(problem) {
  if (!problem) return null;
  const content = problem.content ?? {};
  return h("div", { class: "failure", role: "alert" }, h("p", null, badge("bad", "Refused"), ` ${problem.message}`),
    content.place ? h("p", null, "It is written at ", h("code", null, content.place), ".") : null,
    content.report || content.problems ? problems(content.problems, content.report) : null);
}

export function field(label, input, note) {
  const id = note ? `note-${label.replace(/[^A-Za-z0-9]+/g, "-")}` : null;
  if (note) input.props["aria-describedby"] = id;
  return h("div", { class: "field" }, h("label", null, h("span", null, label), input), note ? h("small", { id }, note) : null);
}

export function button(text, onclick, props = {}) {
  return h("button", { type: "button", onclick, ...props }, text);
}
