import { get } from "../api.js";
import { h } from "../dom.js";
import { live } from "../live.js";
import { moment, time } from "../format.js";
import { badge, card, table, when } from "../parts.js";
import { eventsOf, stateBadge } from "./overview.js";

export default {
  title: () => "Health",
  load: async (page, signal) => {
    const [overview, listeners] = await Promise.all([get("overview", { signal }), get("listeners", { signal })]);
    return { overview, ...listeners };
  },
  view: ({ data }) => {
    const { overview } = data;
    return [
      card("Readiness", h("p", null, stateBadge(overview), overview.unready ? `: ${overview.unready}` : ""),
        overview.degraded.length ? h("ul", null, overview.degraded.map((each) => h("li", { key: each }, each))) : h("p", { class: "note" }, "All works as configured.")),
      card("Workers", workers(overview)),
      card("Background work", tasks(overview)),
      card("Listeners", listeners(data)),
      card("Certificates", certificates(data)),
      live.changes.length ? card("Changes since this page was opened", changes()) : null,
      card("Recent events", events(overview)),
    ];
  },
};

function workers(overview) {
  const rows = [
    ...(overview.workers ?? []).map((each) => ({ name: each.number, state: each.draining ? badge("off", "draining") : badge("good", "serving"), note: (each.shortages ?? []).join("; ") })),
    ...(overview.silent_workers ?? []).map((number) => ({ name: number, state: badge("bad", "does not respond"), note: "" })),
    ...(overview.missing_workers ?? []).map((each) => ({ name: each.number, state: badge("bad", "cannot be started"), note: each.reason ?? each.error ?? "" })),
  ];
  return table({ name: "Workers", rows: rows.map((each, index) => ({ ...each, index })), key: (each) => each.index, empty: "One process serves.",
    columns: [{ title: "Worker", cell: (each) => each.name }, { title: "State", cell: (each) => each.state }, { title: "Shortages", cell: (each) => each.note || "none" }] });
}

function tasks(overview) {
  const rows = [overview, ...(overview.workers ?? [])].flatMap((process) => [
    ...Object.entries(process.failing_tasks ?? {}).map(([name, error]) => ({ name, error: typeof error === "string" ? error : JSON.stringify(error) })),
    ...(process.failing_bindings ?? []).map((each) => ({ name: `${each.plugin} (${each.path})`, error: `${each.failures} failures, at ${each.place}` })),
  ]).map((each, index) => ({ ...each, index }));
  return table({ name: "What fails", rows, key: (each) => each.index, empty: "Nothing fails.", columns: [{ title: "What", cell: (each) => each.name }, { title: "Error", cell: (each) => each.error }] });
}

function listeners(data) {
  return table({ name: "Listeners", rows: data.listeners, key: (each) => each.place,
    columns: [
      { title: "Listener", cell: (each) => each.name ?? each.address },
      { title: "Address", cell: (each) => each.address },
      { title: "TLS", cell: (each) => (each.tls ? "yes" : "no") },
      { title: "Hosts", cell: (each) => each.hosts.join(", ") || "any" },
      { title: "Place", cell: (each) => h("code", null, each.place) },
    ] });
}

function certificates(data) {
  const left = (each) => (moment(each.not_after).getTime() - Date.now()) / 86400000;
  const state = (days) => (days <= 0 ? badge("bad", "expired") : days < 14 ? badge("warn", "expires soon") : badge("good", "valid"));
  return table({ name: "Certificates", rows: [...data.certificates].sort((one, other) => (one.not_after < other.not_after ? -1 : 1)), key: (each) => `${each.listener} ${each.name}`, empty: "There are none.",
    columns: [
      { title: "Name", cell: (each) => each.name },
      { title: "Listener", cell: (each) => each.listener },
      { title: "State", cell: (each) => state(left(each)) },
      { title: "Expires", cell: (each) => [when(each.not_after), ` (${time(each.not_after)})`] },
    ] });
}

const LEVELS = { info: "off", warning: "warn" };

function changes() {
  return table({ name: "Changes", rows: live.changes.slice(0, 100), key: (each) => each.number,
    columns: [
      { title: "At", cell: (each) => when(each.at) },
      { title: "Level", cell: (each) => (each.gap ? badge("warn", "gap") : badge(LEVELS[each.level] ?? "bad", each.level)) },
      { title: "Event", cell: (each) => h("code", null, each.event ?? "–") },
      { title: "Process", cell: (each) => each.process ?? "–" },
      { title: "Message", cell: (each) => (each.gap ? `${each.lost ?? "some"} events are missing here: ${each.gap}` : each.message) },
    ] });
}

function events(overview) {
  return table({ name: "Recent events", rows: eventsOf(overview).map((each, index) => ({ ...each, index })), key: (each) => `${each.at} ${each.index}`, empty: "There are none.",
    columns: [
      { title: "At", cell: (each) => when(each.at) },
      { title: "Level", cell: (each) => badge(LEVELS[each.level] ?? "bad", each.level) },
      { title: "Event", cell: (each) => h("code", null, each.event) },
      { title: "Message", cell: (each) => each.message },
    ] });
}
