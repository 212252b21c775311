import { get, quote } from "../api.js";
import { h } from "../dom.js";
import { count, duration } from "../format.js";
import { badge, card, figure, figures, link, path, table, when } from "../parts.js";
import { breakerState, endpointState, joined, upstreamState } from "../states.js";

export default {
  title: (page) => `Upstream ${page.name}`,
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
    ];
  },
};

function endpoints(page) {
  return table({
    name: "Endpoints", rows: page.data.endpoints, key: (each) => each.id, empty: "There are none.",
    columns: [
      { title: "Endpoint", cell: (each) => [each.id, each.backup ? " (backup)" : ""] },
      { title: "State", cell: endpointState },
      { title: "Breaker", cell: breakerState },
      { title: "Ejected for", number: true, cell: (each) => (each.ejected ? duration(each.ejected) : "–") },
      { title: "Weight", number: true, cell: (each) => count(each.weight) },
      { title: "In flight", number: true, cell: (each) => count(each.active) },
      { title: "Last check", cell: (each) => (each.last_check_at ? [when(each.last_check_at), ` in ${duration(each.last_check_ms / 1000)}`, each.last_check_error ? `: ${each.last_check_error}` : ""] : "–") },
      { title: "Last error", cell: (each) => [...each.errors].join("; ") || "–" },
    ],
  });
}
