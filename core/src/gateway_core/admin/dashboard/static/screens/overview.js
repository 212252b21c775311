import { get } from "../api.js";
import { h } from "../dom.js";
import { chart } from "../chart.js";
import { count, duration, percent, short, time } from "../format.js";
import { leftOut, live, recent, share } from "../live.js";
import { badge, card, figure, figures, leftOutNote, link, more, path, problems, table, when } from "../parts.js";
import { joined, upstreamState } from "../states.js";

export function stateBadge(overview) {
  return badge({ ready: "good", degraded: "warn" }[overview.state] ?? "bad", overview.state);
}

export function byUpstream(overview) {
  const found = new Map();
  for (const each of overview.upstreams ?? []) {
    if (!found.has(each.name)) found.set(each.name, []);
    found.get(each.name).push(each);
  }
  return [...found].map(([name, workers]) => ({ name, ...joined(workers) }));
}

export default {
  title: () => "Overview",
  usesTraffic: true,
  load: (page, signal) => get("overview", { signal }),
  view: (page) => {
    const overview = page.data;
    return [stateCard(overview), trafficCard(), h("div", { class: "grid", key: "grid" }, routesCard(), reasonsCard(), configCard(overview), upstreamsCard(overview), workersCard(overview), eventsCard(overview))];
  },
};

function stateCard(overview) {
  const workers = overview.workers ?? [];
  const sum = (name) => workers.reduce((total, each) => total + (each[name] ?? 0), 0);
  const single = workers.length === 0 ? overview : null;
  return card("State",
    h("p", null, stateBadge(overview), overview.unready ? `: ${overview.unready}` : ""),
    overview.degraded.length ? h("ul", null, overview.degraded.map((each) => h("li", { key: each }, each))) : null,
    figures(
      figure("Requests in flight", count(single ? single.in_flight : sum("in_flight"))),
      figure("Connections", count(single ? single.connections : sum("connections"))),
      figure("Workers", count(overview.serving ?? 1)),
      overview.overrides?.length ? figure("Overrides", link("/health", count(overview.overrides.length))) : null,
      figure("Version", overview.gateway.version, `since ${time(overview.gateway.started_at)}`)));
}

function trafficCard() {
  const now = recent().gateway;
  const of = (name) => (entry) => entry.data.gateway[name];
  return card("Traffic",
    figures(
      figure("Requests/s", count(now?.rate)), figure("Errors", percent(share(now)), "5xx"),
      figure("p50", duration(now?.p50)), figure("p95", duration(now?.p95)), figure("p99", duration(now?.p99)), figure("In flight", count(now?.in_flight))),
    h("div", { class: "grid" },
      chart({ name: "Requests", entries: live.series, lines: [{ name: "requests/s", value: of("rate") }, { name: "errors/s", value: (entry) => entry.data.gateway.errors / (entry.data.seconds || 1) }], format: count }),
      chart({ name: "Duration", entries: live.series, lines: ["p50", "p95", "p99"].map((name) => ({ name, value: of(name) })), format: duration })));
}

function routesCard() {
  const rows = [...recent().routes].map(([id, row]) => ({ id, ...row })).sort((one, other) => other.errors - one.errors || other.rate - one.rate).slice(0, 10);
  return card("Busiest routes", table({
    name: "Busiest routes", rows, key: (each) => each.id, empty: "No requests within the last 10 seconds.",
    columns: [
      { title: "Route", cell: (each) => routeLink(each.id) },
      { title: "Requests/s", number: true, cell: (each) => count(each.rate) },
      { title: "Errors", number: true, cell: (each) => percent(share(each)) },
      { title: "p95", number: true, cell: (each) => duration(each.p95) },
    ],
  }), leftOutNote("routes", leftOut("routes")), h("p", null, link("/routes?sort=p95&down=1", "The slowest routes")));
}

function routeLink(id) {
  if (id === "") return "(no route)";
  return id === "_other" ? "(other routes)" : link(path("routes", id), id);
}

function reasonsCard() {
  return card("Responses of the gateway's own", table({
    name: "Reasons", rows: [...recent().reasons].sort((one, other) => other[1] - one[1]), key: ([reason]) => reason, empty: "None within the last 10 seconds.",
    columns: [{ title: "Reason", cell: ([reason]) => h("code", null, reason) }, { title: "Within 10 s", number: true, cell: ([, number]) => count(number) }],
  }));
}

function configCard(overview) {
  const last = overview.last_reload;
  return card("Configuration",
    h("dl", { class: "pairs" },
      h("dt", null, "In force"), h("dd", null, h("code", null, short(overview.version))),
      h("dt", null, "Pinned"), h("dd", null, overview.pinned ? [badge("warn", `to version ${overview.pinned.number}`), overview.pinned.reason ? `: ${overview.pinned.reason}` : ""] : "no"),
      h("dt", null, "Last reload"), h("dd", null, last ? [badge(last.ok ? "good" : "bad", last.result), " ", when(last.at), ` in ${duration(last.seconds)}, by ${last.trigger}`] : "–")),
    last && !last.ok && last.problems?.length ? problems(last.problems) : null,
    overview.warnings?.length ? h("details", null, h("summary", null, `Warnings: ${overview.warnings.length}`), problems(overview.warnings)) : null);
}

function upstreamsCard(overview) {
  const all = byUpstream(overview);
  return card("Upstreams", table({
    name: "Upstreams", rows: all.slice(0, 20), key: (each) => each.name, empty: "There are no upstreams.",
    columns: [
      { title: "Upstream", cell: (each) => link(path("upstreams", each.name), each.name) },
      { title: "State", cell: upstreamState },
      { title: "In flight", number: true, cell: (each) => count(each.active) },
      { title: "Waiting", number: true, cell: (each) => count(each.pending) },
    ],
  }), more(all.length, 20, "upstreams"));
}

function workersCard(overview) {
  const rows = overview.workers ?? [];
  if (rows.length === 0) return null;
  return card("Workers", table({
    name: "Workers", rows, key: (each) => each.number,
    columns: [
      { title: "Worker", cell: (each) => each.number },
      { title: "Process", number: true, cell: (each) => each.pid },
      { title: "State", cell: (each) => (overview.silent_workers?.includes(each.number) ? badge("bad", "silent") : each.draining ? badge("off", "draining") : badge("good", "serving")) },
      { title: "In flight", number: true, cell: (each) => count(each.in_flight) },
      { title: "Connections", number: true, cell: (each) => count(each.connections) },
      { title: "Version", cell: (each) => h("code", null, short(each.version)) },
    ],
  }));
}

export function eventsOf(overview) {
  const found = [...(overview.recent_events ?? []), ...(overview.workers ?? []).flatMap((each) => each.recent_events ?? [])];
  return found.sort((one, other) => (one.at < other.at ? 1 : -1));
}

function eventsCard(overview) {
  return h("div", { class: "wide" }, card("Recent events", table({
    name: "Recent events", rows: eventsOf(overview).slice(0, 15).map((each, index) => ({ ...each, index })), key: (each) => `${each.at} ${each.index}`, empty: "There are none.",
    columns: [
      { title: "At", cell: (each) => when(each.at) },
      { title: "Level", cell: (each) => badge({ info: "off", warning: "warn" }[each.level] ?? "bad", each.level) },
      { title: "Event", cell: (each) => h("code", null, each.event) },
      { title: "Message", cell: (each) => each.message },
    ],
  })));
}
