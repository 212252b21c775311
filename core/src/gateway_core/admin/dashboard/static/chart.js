// Lines over time, drawn as SVG; what they show stands beside them as a table.

import { h } from "./dom.js";
import { table } from "./parts.js";
import { duration, time } from "./format.js";

const WIDTH = 300;
const HEIGHT = 100;

/**
 * Return a chart of entries {at, gap} with a value for each line.
 *
 * lines: {name, value(entry)}; format(value) returns text.
 */
export function chart({ name, entries, lines, format }) {
  const values = entries.flatMap((entry) => (entry.gap ? [] : lines.map((line) => line.value(entry) ?? 0)));
  const most = Math.max(...values, 0) || 1;
  const from = entries[0]?.at ?? 0;
  const span = Math.max(60, (entries.at(-1)?.at ?? 0) - from);
  const x = (entry) => (((entry.at - from) / span) * WIDTH).toFixed(1);
  const y = (value) => (HEIGHT - (value / most) * (HEIGHT - 4)).toFixed(1);
  const latest = entries.findLast((entry) => !entry.gap);
  const summary = latest ? lines.map((line) => `${line.name} ${format(line.value(latest))}`).join(", ") : "no data yet";
  return h("div", { class: "chart" },
    h("h3", null, name),
    h("div", { class: "scale" }, h("span", null, `up to ${format(most)}`), h("span", null, `the last ${duration(Math.ceil(span))}`)),
    h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${summary}` },
      h("line", { class: "axis", x1: 0, y1: HEIGHT, x2: WIDTH, y2: HEIGHT }),
      entries.map((entry, index) => entry.gap && h("rect", { key: `gap ${entry.at} ${index}`, class: "gap", x: x(entry), y: 0, height: HEIGHT,
        width: Math.max(1, x(entries[index + 1] ?? entry) - x(entry)) })),
      lines.map((line, index) => h("path", { key: line.name, class: `series series-${index + 1}`, d: path(entries, line, x, y) }))),
    h("div", { class: "legend" }, lines.map((line, index) => h("span", { key: line.name }, h("span", { class: `key key-${index + 1}`, "aria-hidden": "true" }), line.name,
      latest ? ` ${format(line.value(latest))}` : "")),
    entries.some((entry) => entry.gap) ? h("span", null, "▒ gap: nothing is known of this time") : null),
    h("details", null, h("summary", null, "As a table"), table({
      name: `${name}, the last 30 seconds`, rows: entries.slice(-30).reverse(), key: (entry) => entry.at, empty: "No data yet.",
      columns: [
        { title: "At", cell: (entry) => time(entry.at) },
        ...lines.map((line) => ({ title: line.name, number: true, cell: (entry) => (entry.gap ? `gap: ${entry.gap}` : format(line.value(entry))) })),
      ],
    })));
}

function path(entries, line, x, y) {
  let begins = true;
  const parts = [];
  for (const entry of entries) {
    const value = entry.gap ? null : line.value(entry);
    if (value === null || value === undefined) {
      begins = begins || Boolean(entry.gap);
      continue;
    }
    parts.push(`${begins ? "M" : "L"}${x(entry)} ${y(value)}`);
    begins = false;
  }
  return parts.join("");
}
