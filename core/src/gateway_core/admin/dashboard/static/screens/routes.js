import { all } from "../api.js";
import { h } from "../dom.js";
import { newButton } from "../editor.js";
import { count, duration, percent } from "../format.js";
import { leftOut, live, recent, share } from "../live.js";
import { badge, button, card, field, leftOutNote, link, path, table, when } from "../parts.js";

const ROWS = 50;

const SORTS = {
  order: (route) => route.order,
  id: (route) => route.id,
  path: (route) => route.path,
  target: (route) => route.target,
  chain: (route) => route.chain.length,
  rate: (route) => recent().routes.get(route.id)?.rate ?? 0,
  errors: (route) => share(recent().routes.get(route.id)) ?? 0,
  p95: (route) => recent().routes.get(route.id)?.p95 ?? 0,
  used: usedAt,
};

const FIGURES = new Set(["rate", "errors", "p95", "used"]); // sorted with the largest first

/** The routes of a list that the query of the address leaves, in its order. */
export function chosen(routes, query) {
  const words = (query.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const left = routes.filter((route) => {
    const text = [route.id, route.path, route.target, ...route.hosts, ...route.methods, ...route.chain].join(" ").toLowerCase();
    if (query.state === "enabled" && !route.enabled) return false;
    if (query.state === "disabled" && route.enabled) return false;
    if (query.owner && route.owner !== query.owner) return false;
    return words.every((word) => text.includes(word));
  });
  const value = SORTS[query.sort] ?? SORTS.order;
  const sign = query.down ? -1 : 1;
  return left.sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    return (a < b ? -1 : a > b ? 1 : one.order - other.order) * sign;
  });
}

export default {
  title: () => "Routes",
  every: 10000,
  usesTraffic: true,
  load: async (page, signal) => (await all("routes", { signal })).map((route, order) => ({ ...route, order })),
  view: (page) => {
    const { query } = page;
    const rows = chosen(page.data, query);
    const pages = Math.max(1, Math.ceil(rows.length / ROWS));
    const number = Math.min(Math.max(1, Number(query.page) || 1), pages);
    return card("Routes in force",
      filters(page),
      h("p", { role: "status" }, `${count(rows.length)} of ${count(page.data.length)} routes`),
      table({
        name: "Routes", rows: rows.slice((number - 1) * ROWS, number * ROWS), key: (route) => route.id, columns: columns(),
        sorted: { by: query.sort ?? "order", down: Boolean(query.down) },
        sort: (by) => page.setQuery({ sort: by, down: ((query.sort ?? "order") === by ? !query.down : FIGURES.has(by)) ? "1" : "", page: "" }),
        empty: "No route matches.",
      }),
      leftOutNote("routes", leftOut("routes")),
      pages > 1 ? h("nav", { "aria-label": "Pages", class: "actions" },
        button("Previous", () => page.setQuery({ page: number - 1 }), { disabled: number === 1 }),
        h("span", null, `Page ${number} of ${pages}`),
        button("Next", () => page.setQuery({ page: number + 1 }), { disabled: number === pages })) : null);
  },
};

function filters(page) {
  const { query } = page;
  const choice = (label, name, options) => field(label, h("select", { value: query[name] ?? "", onchange: (event) => page.setQuery({ [name]: event.target.value, page: "" }) },
    options.map(([value, text]) => h("option", { value, selected: (query[name] ?? "") === value }, text))));
  return h("div", { class: "bar", role: "search" },
    field("Filter", h("input", { type: "search", value: query.q ?? "", placeholder: "id, path, host, target, plugin", oninput: (event) => page.setQuery({ q: event.target.value, page: "" }) })),
    choice("State", "state", [["", "all"], ["enabled", "enabled"], ["disabled", "disabled"]]),
    choice("Written in", "owner", [["", "all"], ["files", "files and sources"], ["api", "the API's document"]]),
    newButton(page, "routes", { path_prefix: "/new", target: "http://127.0.0.1:8000" }));
}

function columns() {
  return [
    { title: "Route", sort: "id", cell: (route) => link(path("routes", route.id), route.id) },
    { title: "Order", sort: "order", number: true, cell: (route) => route.order + 1 },
    { title: "Path", sort: "path", cell: (route) => [route.methods.length ? `${route.methods.join(", ")} ` : "", h("code", null, route.path), route.hosts.length ? h("div", { class: "note" }, route.hosts.join(", ")) : null] },
    { title: "Target", sort: "target", cell: (route) => route.target },
    { title: "Requests/s", sort: "rate", number: true, cell: (route) => count(recent().routes.get(route.id)?.rate) },
    { title: "Errors", sort: "errors", number: true, cell: (route) => errors(recent().routes.get(route.id)) },
    { title: "p95", sort: "p95", number: true, cell: (route) => duration(recent().routes.get(route.id)?.p95) },
    { title: "Last used", sort: "used", cell: (route) => lastUsed(route) },
    { title: "Plugins", sort: "chain", number: true, cell: (route) => route.chain.length },
    { title: "State", cell: (route) => (route.enabled ? badge("good", "enabled") : badge("off", "disabled")) },
    { title: "Place", cell: (route) => h("code", null, route.place) },
  ];
}

function errors(row) {
  return row?.errors ? badge("bad", percent(share(row))) : percent(share(row));
}

/** The API looks every few seconds; what this page sees may be later. */
function usedAt(route) {
  return [route.last_used ?? "", live.lastUsed.get(route.id) ?? ""].sort().at(-1);
}

export function lastUsed(route) {
  const at = usedAt(route);
  return at ? when(at) : "not since the gateway started";
}
