import { Problem } from "../api.js";
import { h } from "../dom.js";
import { count, duration, time } from "../format.js";
import { read } from "../live.js";
import { badge, button, card, failure, field, link, path, table } from "../parts.js";

const MOST = 200;
const FILTERS = [
  ["route", "Route", "users"], ["status", "Status", "5xx,404"], ["client", "Client", "10.0.0.0/8"],
  ["method", "Method", "GET"], ["path", "Path begins with", "/users"], ["reason", "Reason", "no-route"],
  ["plugin", "Plugin", "auth"],
];

export default {
  title: () => "Live tail",
  enter: (page) => Object.assign(page.local, { rows: [], number: 0, state: "stopped", problem: null, filter: { ...page.query }, lastId: "" }),
  leave: stop,
  paused: (page) => (page.paused ? stop(page) : null),
  view: (page) => {
    const { local } = page;
    if (!page.session.may_tail) {
      return card("Requests as they end", h("p", null, badge("off", "not allowed"), " Watching single requests is a right of its own, which no role has: ",
        h("code", null, "gateway admin token new NAME --tail"), "."));
    }
    return card("Requests as they end",
      h("form", { class: "bar", onsubmit: (event) => { event.preventDefault(); start(page); } },
        FILTERS.map(([name, label, example]) => h("div", { key: name }, field(label, h("input", { size: "14", placeholder: example, value: local.filter[name] ?? "", oninput: (event) => { local.filter[name] = event.target.value; } })))),
        h("button", { class: "main" }, local.state === "stopped" ? "Start" : "Start again"),
        local.state === "stopped" ? null : button("Stop", () => { stop(page); page.draw(); }),
        button("Clear", () => { local.rows = []; page.draw(); })),
      h("p", null, badge(local.state === "running" ? "good" : "off", local.state), local.rows.length ? ` ${count(local.rows.length)} are shown, ${MOST} at most` : ""),
      failure(local.problem),
      rows(local.rows));
  },
};

function stop(page) {
  page.local.abort?.abort();
  Object.assign(page.local, { abort: null, state: "stopped" });
}

async function start(page) {
  stop(page);
  const { local } = page;
  const abort = new AbortController();
  const filter = Object.fromEntries(FILTERS.map(([name]) => [name, (local.filter[name] ?? "").trim()]));
  page.setQuery(filter);
  const query = new URLSearchParams({ types: "tail", ...Object.fromEntries(Object.entries(filter).filter(([, value]) => value)) });
  Object.assign(local, { abort, problem: null, lastId: "" });
  while (!abort.signal.aborted) {
    local.state = "connecting";
    page.draw();
    try {
      await read(`events?${query}`, abort.signal, { resume: local.lastId, take: (name, data, id) => take(page, name, data, id) });
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error instanceof Problem && error.status !== 0) {
        Object.assign(local, { problem: error, state: "stopped" });
        page.draw();
        return;
      }
    }
    if (abort.signal.aborted) return;
    add(local, { gap: "the connection was lost", at: new Date().toISOString() });
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function take(page, name, data, id) {
  const { local } = page;
  if (id) local.lastId = id;
  local.state = "running";
  if (name === "tail") add(local, data);
  if (name === "gap") add(local, { gap: data.reason, lost: data.lost, at: data.at });
  // Many may come at once: the page is drawn once for all of them.
  local.drawing ??= requestAnimationFrame(() => { local.drawing = null; page.draw(); });
}

function add(local, row) {
  if (row.gap && local.rows[0]?.gap === row.gap) return;
  local.number += 1;
  local.rows.unshift({ ...row, number: local.number });
  local.rows.length = Math.min(local.rows.length, MOST);
}

function rows(found) {
  const level = (status) => (status >= 500 ? "bad" : status >= 400 ? "warn" : "good");
  const refusals = (each) => [each.refusals ?? []].flat().map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
  return table({
    name: "Requests", rows: found, key: (each) => each.number, empty: "None yet.",
    columns: [
      { title: "At", cell: (each) => time(each.at) },
      { title: "Status", cell: (each) => (each.gap ? badge("warn", `gap: ${each.lost ?? "some"} are missing (${each.gap})`) : badge(level(each.status), String(each.status))) },
      { title: "Request", cell: (each) => (each.gap ? "" : [`${each.method} `, h("code", null, `${each.host ?? ""}${each.path}${each.query ? `?${each.query}` : ""}`)]) },
      { title: "Route", cell: (each) => (each.route ? link(path("routes", each.route), each.route) : "–") },
      { title: "Duration", number: true, cell: (each) => duration(each.seconds) },
      { title: "Upstream", cell: (each) => (each.upstream ? `${each.upstream} ${each.endpoint ?? ""}` : "–") },
      { title: "Attempts", number: true, cell: (each) => count(each.attempts) },
      { title: "Client", cell: (each) => each.client ?? "" },
      { title: "Reason", cell: (each) => [each.reason, ...refusals(each)].filter(Boolean).join("; ") || "–" },
      { title: "Request id", cell: (each) => h("code", null, each.request_id ?? "") },
    ],
  });
}
