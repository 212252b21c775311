import { call, get, quote } from "../api.js";
import { h } from "../dom.js";
import { editorCard } from "../editor.js";
import { count, duration, percent } from "../format.js";
import { recent, share } from "../live.js";
import { badge, button, card, field, figure, figures, link, path, table, when } from "../parts.js";
import { may } from "../rights.js";
import { breakerState, endpointState, joined, upstreamState } from "../states.js";

export default {
  title: (page) => `Upstream ${page.name}`,
  usesTraffic: true,
  load: async (page, signal) => {
    const upstream = await get(`upstreams/${quote(page.name)}`, { signal });
    return { ...upstream, ...joined(upstream.workers) };
  },
  view: (page) => {
    const upstream = page.data;
    return [
      card("State", h("p", null, upstreamState(upstream), " ", upstream.panic ? badge("warn", "panic mode: all endpoints get requests") : null),
        figures(figure("In flight", count(upstream.active)), figure("Waiting", count(upstream.pending)), figure("Retries in flight", count(upstream.retrying)), figure("Strategy", upstream.strategy)),
        h("p", { class: "note" }, "Written at ", h("code", null, upstream.place)),
        upstream.discovery ? h("p", null, "Discovery: ", h("code", null, JSON.stringify(upstream.discovery))) : null),
      card("Endpoints", endpoints(page)),
      card("Routes to it", upstream.routes.length ? h("ul", null, upstream.routes.slice(0, 200).map((id) => h("li", { key: id }, link(path("routes", id), id)))) : h("p", { class: "empty" }, "No route leads here.")),
      editorCard(page, "upstreams", upstream),
    ];
  },
};

function endpoints(page) {
  const now = recent().upstreams.get(page.name)?.endpoints ?? new Map();
  return table({
    name: "Endpoints", rows: page.data.endpoints, key: (each) => each.id, empty: "There are none.",
    columns: [
      { title: "Endpoint", cell: (each) => [each.id, each.backup ? " (backup)" : ""] },
      { title: "State", cell: endpointState },
      { title: "Breaker", cell: breakerState },
      { title: "Ejected for", number: true, cell: (each) => (each.ejected ? duration(each.ejected) : "–") },
      { title: "Attempts/s", number: true, cell: (each) => count(now.get(each.id)?.rate) },
      { title: "Errors", number: true, cell: (each) => percent(share(now.get(each.id))) },
      { title: "p95", number: true, cell: (each) => duration(now.get(each.id)?.p95) },
      { title: "Weight", number: true, cell: (each) => count(each.weight) },
      { title: "In flight", number: true, cell: (each) => count(each.active) },
      { title: "Last check", cell: (each) => (each.last_check_at ? [when(each.last_check_at), ` in ${duration(each.last_check_ms / 1000)}`, each.last_check_error ? `: ${each.last_check_error}` : ""] : "–") },
      { title: "Last error", cell: (each) => [...each.errors].join("; ") || "–" },
      { title: "Override", cell: (each) => override(each.override) },
      { title: "Actions", cell: (each) => actions(page, each) },
    ],
  });
}

function override(found) {
  if (!found) return "none";
  return [badge("warn", found.kind), ` by ${found.by}`, found.reason ? `: ${found.reason}` : "", ", ends ", when(found.expires)];
}

function actions(page, endpoint) {
  if (!may(page, "operator")) return "–";
  const isDrained = endpoint.states.some((state) => ["drain", "draining", "down"].includes(state)) || endpoint.status !== "up";
  return isDrained ? button("Up", () => up(page, endpoint), { "aria-label": `Have ${endpoint.id} get requests` }) : button("Drain", () => drain(page, endpoint), { "aria-label": `Drain ${endpoint.id}` });
}

const reasonAndTime = (time) => () => [
  field("Reason", h("input", { name: "reason", maxlength: "500" }), "Shown as long as it is in force."),
  field("For", h("input", { name: "expires_in", value: time, required: true, pattern: "[0-9.]+(ms|s|m|h|d)" }), "Such as 30m or 2h; then it is as configured again."),
];

function drain(page, endpoint) {
  page.act({
    title: `Drain ${endpoint.id}?`, text: "It gets no new requests; those under way finish.", action: "Drain", danger: true,
    body: () => [reasonAndTime("24h")(), field("Even if it is the last one that is up", h("input", { name: "force", type: "checkbox" }))],
    run: ({ force, ...form }) => call("POST", `endpoints/${quote(endpoint.id)}:drain`, { body: { ...form, upstream: page.name, force: force === "on" } }),
    said: `${endpoint.id} is drained.`,
  });
}

function up(page, endpoint) {
  page.act({
    title: `Have ${endpoint.id} get requests?`, action: "Up", body: reasonAndTime("24h"),
    run: (form) => call("POST", `endpoints/${quote(endpoint.id)}:up`, { body: { ...form, upstream: page.name } }),
    said: `${endpoint.id} gets requests.`,
  });
}
