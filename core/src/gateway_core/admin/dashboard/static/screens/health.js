import { call, get } from "../api.js";
import { h } from "../dom.js";
import { live } from "../live.js";
import { moment, time } from "../format.js";
import { badge, button, card, field, link, path, table, when } from "../parts.js";
import { may } from "../rights.js";
import { eventsOf, stateBadge } from "./overview.js";

export default {
  title: () => "Health",
  load: async (page, signal) => {
    const [overview, listeners] = await Promise.all([get("overview", { signal }), get("listeners", { signal })]);
    return { overview, ...listeners };
  },
  view: (page) => {
    const { data } = page;
    const { overview } = data;
    return [
      card("Readiness", h("p", null, stateBadge(overview), overview.unready ? `: ${overview.unready}` : ""),
        overview.degraded.length ? h("ul", null, overview.degraded.map((each) => h("li", { key: each }, each))) : h("p", { class: "note" }, "All works as configured.")),
      card("Overrides", overrides(overview)),
      card("Log", log(page, overview)),
      card("Workers", workers(overview)),
      card("Background work", tasks(overview)),
      card("Listeners", listeners(data)),
      card("Certificates", certificates(data)),
      live.changes.length ? card("Changes since this page was opened", changes()) : null,
      card("Recent events", events(overview)),
    ];
  },
};

function overrides(overview) {
  const subject = (each) => (each.upstream ? [link(path("upstreams", each.upstream), each.upstream), ` ${each.name}`] : each.name);
  return table({ name: "Overrides", rows: overview.overrides ?? [], key: (each) => `${each.kind} ${each.upstream} ${each.name}`, empty: "Everything is as configured.",
    columns: [
      { title: "What", cell: (each) => badge("warn", each.kind) },
      { title: "Of", cell: subject },
      { title: "By", cell: (each) => each.by },
      { title: "Reason", cell: (each) => each.reason || "–" },
      { title: "Ends", cell: (each) => when(each.expires) },
    ] });
}

function log(page, overview) {
  return [h("p", null, "Lines of the level ", h("strong", null, overview.gateway.log_level), " and above are written."),
    may(page, "operator") ? button("Change the level", () => setLevel(page, overview.gateway.log_level)) : null];
}

function setLevel(page, current) {
  const levels = [["debug", "debug"], ["info", "info"], ["warning", "warning"], ["error", "error"], ["", "as configured"]];
  page.act({
    title: "Change the level of the log?", text: "In every process, at once.", action: "Change",
    body: () => [
      field("Level", h("select", { name: "level" }, levels.map(([value, text]) => h("option", { value, selected: value === current }, text)))),
      field("Reason", h("input", { name: "reason", maxlength: "500" }), "Shown as long as it is in force."),
      field("For", h("input", { name: "expires_in", value: "1h", required: true, pattern: "[0-9.]+(ms|s|m|h|d)" }), "Such as 30m or 2h; then it is as configured again."),
    ],
    run: ({ level, ...form }) => call("POST", "log:level", { body: { ...form, level: level || null } }),
    said: ({ override }) => (override ? `The level of the log is ${override.name}.` : "The level of the log is as configured."),
  });
}

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
  const rows = [...data.certificates].sort((one, other) => ((one.not_after ?? "") < (other.not_after ?? "") ? -1 : 1));
  return table({ name: "Certificates", rows, key: (each) => `${each.listener} ${each.name}`, empty: "There are none.",
    columns: [
      { title: "Name", cell: (each) => each.issuance?.names.join(", ") || each.name },
      { title: "Listener", cell: (each) => each.listener },
      { title: "State", cell: certificateState },
      { title: "Expires", cell: (each) => (each.not_after ? [when(each.not_after), ` (${time(each.not_after)})`] : "–") },
      { title: "Last issued", cell: (each) => (each.issuance ? when(each.issuance.last_success) : "–") },
      { title: "Last failure", cell: (each) => lastFailure(each.issuance) },
    ] });
}

function certificateState({ not_before: begins, not_after: ends, issuance }) {
  if (issuance && !issuance.last_success) return issuance.is_failing ? badge("bad", "cannot be got") : badge("off", "ordered");
  const left = ends ? moment(ends).getTime() - Date.now() : 0;
  if (left <= 0) return badge("bad", "expired");
  if (issuance?.is_failing) return badge("warn", "renewal fails");
  const lifetime = begins ? moment(ends).getTime() - moment(begins).getTime() : Infinity;
  return left < Math.min(14 * 86400000, lifetime / 4) ? badge("warn", "expires soon") : badge("good", "valid");
}

function lastFailure(issuance) {
  if (!issuance?.last_failure) return issuance ? "none" : "–";
  return [when(issuance.last_failure), issuance.error ? `: ${issuance.error}` : "",
    issuance.is_failing && issuance.next_attempt ? [", the next attempt is ", when(issuance.next_attempt)] : null];
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
