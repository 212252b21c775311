import { get } from "../api.js";
import { h } from "../dom.js";
import { count, duration } from "../format.js";
import { badge, card, field, link, path, table } from "../parts.js";
import { bindingsTable, joinedBindings } from "./plugin.js";

const KINDS = { loaded: "good", found: "off", broken: "bad", failed: "bad" };

export default {
  title: () => "Plugins",
  every: 5000,
  usesTraffic: true,
  load: (page, signal) => get("plugins", { signal }),
  view: (page) => {
    const workers = page.data.workers ?? [page.data];
    const bindings = joinedBindings(workers);
    return [
      card("Bindings", bindingsTable(page, bindings)),
      card("Time of each plugin", times(workers)),
      card("Catalogue", catalogue(page, workers, bindings)),
    ];
  },
};

function times(workers) {
  const found = new Map();
  for (const each of workers.flatMap((worker) => worker.times ?? [])) {
    const key = `${each.plugin} ${each.binding} ${each.phase}`;
    const row = found.get(key) ?? { ...each, key, calls: 0, total: 0, longest: 0 };
    row.calls += each.calls;
    row.total += each.total;
    row.longest = Math.max(row.longest, each.longest);
    found.set(key, row);
  }
  return table({
    name: "Time of each plugin", rows: [...found.values()].sort((one, other) => other.total - one.total).slice(0, 100), key: (each) => each.key,
    empty: "Nothing is measured: set server_timing: true, or have a plugin that asks for it.",
    columns: [
      { title: "Plugin", cell: (each) => link(path("plugins", each.plugin), each.plugin) },
      { title: "Binding", cell: (each) => each.binding },
      { title: "Phase", cell: (each) => each.phase },
      { title: "Calls", number: true, cell: (each) => count(each.calls) },
      { title: "Mean", number: true, cell: (each) => duration(each.calls ? each.total / each.calls : null) },
      { title: "Longest", number: true, cell: (each) => duration(each.longest) },
      { title: "In total", number: true, cell: (each) => duration(each.total) },
    ],
  });
}

function catalogue(page, workers, bindings) {
  const text = (page.query.q ?? "").toLowerCase();
  const rows = (workers[0]?.installed ?? []).filter((each) => `${each.name} ${each.distribution}`.toLowerCase().includes(text));
  return [
    h("div", { class: "bar", role: "search" }, field("Filter", h("input", { type: "search", value: page.query.q ?? "", oninput: (event) => page.setQuery({ q: event.target.value }) }))),
    table({
      name: "Catalogue", rows, key: (each) => `${each.distribution} ${each.name}`, empty: "No plugin matches.",
      columns: [
        { title: "Plugin", cell: (each) => link(path("plugins", each.name), each.name) },
        { title: "Distribution", cell: (each) => `${each.distribution} ${each.version}` },
        { title: "State", cell: (each) => [badge(KINDS[each.state] ?? "warn", each.state), each.error ? ` ${each.error}` : ""] },
        { title: "Bindings", number: true, cell: (each) => count(bindings.filter((one) => one.plugin === each.name).length) },
      ],
    }),
  ];
}

