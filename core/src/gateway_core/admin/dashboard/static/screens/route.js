import { call, get, quote } from "../api.js";
import { chart } from "../chart.js";
import { h } from "../dom.js";
import { editorCard } from "../editor.js";
import { count, duration, percent } from "../format.js";
import { live, recent, share } from "../live.js";
import { badge, card, failure, field, figure, figures, link, path } from "../parts.js";
import { bindingState, joinedBindings } from "./plugin.js";
import { lastUsed } from "./routes.js";

export default {
  title: (page) => `Route ${page.name}`,
  every: 5000,
  usesTraffic: true,
  load: async (page, signal) => {
    const [route, plugins] = await Promise.all([get(`routes/${quote(page.name)}`, { signal }), get("plugins", { signal })]);
    const states = new Map(joinedBindings(plugins.workers ?? [plugins]).map((each) => [each.path, each]));
    return { ...route, bindings: route.bindings.map((each) => ({ ...each, state: states.get(each.scope === "gateway" ? each.id : `${page.name}/${each.id}`) })) };
  },
  view: (page) => {
    const route = page.data;
    return [
      trafficCard(page),
      card("Definition", definition(route)),
      card("Effective chain", chain(route.bindings)),
      tester(page),
      editorCard(page, "routes", route),
    ];
  },
};

function trafficCard(page) {
  const now = recent().routes.get(page.name);
  const of = (name) => (entry) => (entry.data.routes.find((each) => each.route === page.name) ?? {})[name] ?? (name === "rate" || name === "errors" ? 0 : null);
  return card("Traffic",
    figures(figure("Requests/s", count(now?.rate ?? 0)), figure("Errors", percent(share(now)), "5xx"), figure("p50", duration(now?.p50)), figure("p95", duration(now?.p95)), figure("p99", duration(now?.p99)), figure("Last used", lastUsed(page.data))),
    h("div", { class: "grid" },
      chart({ name: "Requests", entries: live.series, lines: [{ name: "requests/s", value: of("rate") }, { name: "errors/s", value: (entry) => of("errors")(entry) / (entry.data.seconds || 1) }], format: count }),
      chart({ name: "Duration", entries: live.series, lines: ["p50", "p95", "p99"].map((name) => ({ name, value: of(name) })), format: duration })));
}

function definition(route) {
  const pair = (name, value) => [h("dt", null, name), h("dd", null, value)];
  return h("dl", { class: "pairs" },
    pair("State", route.enabled ? badge("good", "enabled") : badge("off", "disabled")),
    pair("Path", h("code", null, route.path)),
    pair("Hosts", route.hosts.join(", ") || "any"),
    pair("Methods", route.methods.join(", ") || "any"),
    pair("Target", route.target),
    route.upstreams.length ? pair("Upstreams", route.upstreams.map((each, index) => [index ? ", " : "", link(path("upstreams", each), each)])) : null,
    pair("Written at", h("code", null, route.place)),
    pair("Owner", route.owner === "api" ? `the API's document, revision ${route.revision}` : "files and sources"));
}

export function chain(bindings) {
  if (bindings.length === 0) return h("p", { class: "empty" }, "No plugin runs for this route.");
  return h("ol", { class: "chain" }, bindings.map((each) => h("li", { key: `${each.place} ${each.id}` },
    h("strong", null, each.id === each.plugin ? link(path("plugins", each.plugin), each.id) : each.id), " ",
    each.id === each.plugin ? null : ["(", link(path("plugins", each.plugin), each.plugin), ") "],
    each.off ? badge("off", "off") : badge("good", each.mode), " ",
    !each.off && each.state?.quarantined + each.state?.probed > 0 ? bindingState(each.state) : null,
    h("code", null, each.place), ` – ${each.scope === "gateway" ? "for every route" : "of this route"}`,
    each.replaces ? h("div", { class: "note" }, "replaces the one at ", h("code", null, each.replaces)) : null,
    each.off ? h("div", { class: "note" }, each.off) : null,
    each.when ? h("div", { class: "note" }, "when ", h("code", null, JSON.stringify(each.when))) : null)));
}

// -- which route takes a request

function tester(page) {
  const { local } = page;
  local.form ??= { method: "GET", url: firstUrl(page.data), headers: "" };
  const input = (name, props = {}) => h("input", { value: local.form[name], oninput: (event) => { local.form[name] = event.target.value; }, ...props });
  return card("Which route takes a request",
    h("form", { class: "bar", onsubmit: (event) => test(event, page) },
      field("Method", input("method", { size: "8" })),
      field("URL or path", input("url", { required: true, size: "40" })),
      field("Header fields", input("headers", { size: "30", placeholder: "x-tenant: a; accept: text/html" })),
      h("button", { class: "main" }, "Match")),
    failure(local.problem),
    local.result ? result(page, local.result) : null);
}

function firstUrl(route) {
  const first = route.path.split(", ")[0];
  const place = first.startsWith("~") ? "/" : first.replace(/\*$/, "");
  return route.hosts.length ? `http://${route.hosts[0].replace(/^\*\./, "www.")}${place}` : place;
}

async function test(event, page) {
  event.preventDefault();
  const { form } = page.local;
  const headers = {};
  for (const each of form.headers.split(";")) {
    const [name, ...rest] = each.split(":");
    if (name.trim()) (headers[name.trim()] ??= []).push(rest.join(":").trim());
  }
  try {
    page.local.result = await call("POST", "match", { body: { method: form.method, url: form.url, headers } });
    page.local.problem = null;
  } catch (error) {
    Object.assign(page.local, { result: null, problem: error });
  }
  page.draw();
}

function result(page, found) {
  const isIt = found.route === page.name;
  return h("div", { role: "status" },
    h("p", null, found.route ? [badge(isIt ? "good" : "warn", isIt ? "this route takes it" : "another route takes it"), ": ", link(path("routes", found.route), found.route)] : badge("bad", found.error ?? found.refusal ?? found.reason ?? "no route takes it")),
    found.route ? h("dl", { class: "pairs" },
      h("dt", null, "Target"), h("dd", null, String(found.target ?? "–")),
      h("dt", null, "Path sent"), h("dd", null, h("code", null, String(found.path ?? "–"))),
      Object.keys(found.params ?? {}).length ? [h("dt", null, "Parameters"), h("dd", null, h("code", null, JSON.stringify(found.params)))] : null) : h("pre", { tabindex: "0" }, JSON.stringify({ ...found, losers: undefined }, null, 1)),
    found.bindings?.length && !isIt ? chain(found.bindings) : null,
    found.losers?.length ? h("details", null, h("summary", null, `Why other routes do not: ${found.losers.length}`),
      h("ul", null, found.losers.slice(0, 50).map((each) => h("li", { key: `${each.route} ${each.pattern}` }, link(path("routes", each.route), each.route), " ", h("code", null, each.pattern), `: ${each.reasons.join("; ")}`)))) : null);
}
