import { all, call, get, Problem, quote, send } from "../api.js";
import { h } from "../dom.js";
import { count, duration } from "../format.js";
import { leftOut, recent } from "../live.js";
import { badge, button, card, failure, field, leftOutNote, link, more, path, table } from "../parts.js";
import { may, needs } from "../rights.js";
import { objectForm } from "../schema_form.js";
import { yamlText } from "../yaml.js";

export default {
  title: (page) => `Plugin ${page.name}`,
  every: 5000,
  usesTraffic: true,
  load: async (page, signal) => {
    // The schema is that of the installed version, and comes from a process of its own: once for this screen.
    page.local.about ??= await get(`plugins/${quote(page.name)}`, { signal });
    return get("plugins", { signal });
  },
  view: (page) => {
    const { about } = page.local;
    const bindings = joinedBindings(page.data.workers ?? [page.data]).filter((each) => each.plugin === page.name);
    return [
      card("What it does", h("p", null, about.doc ?? ""), h("p", { class: "note" }, `${about.distribution} ${about.version}`, about.hooks?.length ? `; hooks: ${about.hooks.join(", ")}` : ""),
        about.error ? h("p", null, badge("bad", about.error)) : null),
      card("Bindings", bindingsTable(page, bindings)),
      about.schema ? card("Write a binding", form(page, about)) : null,
    ];
  },
};

/** The bindings of all workers, with failures added up. */
export function joinedBindings(workers) {
  const found = new Map();
  for (const each of workers.flatMap((worker) => worker.bindings ?? [])) {
    const row = found.get(each.path) ?? { ...each, failures: 0, quarantines: 0, quarantined: 0, probed: 0, workers: 0 };
    row.failures += each.failures;
    row.quarantines += each.quarantines;
    row.quarantined += each.quarantine === "open" ? 1 : 0;
    row.probed += each.quarantine === "half-open" ? 1 : 0;
    row.released ||= each.released;
    row.workers += 1;
    found.set(each.path, row);
  }
  return [...found.values()];
}

/** What the workers do with a binding; it takes one in quarantine to leave it by a probe, or by a release. */
export function bindingState(each) {
  if (each.quarantined + each.probed === 0) return badge("good", each.released ? "released: no failure brings it into quarantine" : "runs");
  const parts = [["bad", each.quarantined, "in quarantine"], ["warn", each.probed, "probed"]].filter(([, number]) => number);
  return parts.map(([kind, number, text]) => [badge(kind, number === each.workers ? text : `${text} in ${number} of ${each.workers} workers`), " "]);
}

export function bindingsTable(page, bindings) {
  const now = recent();
  const of = (each) => now.plugins.get(`${each.plugin} ${each.path}`) ?? now.plugins.get(`${each.plugin} ${each.id}`);
  // Calls are counted by id, which bindings of several routes may have.
  const sharing = new Map();
  for (const each of bindings) sharing.set(`${each.plugin} ${each.id}`, (sharing.get(`${each.plugin} ${each.id}`) ?? 0) + 1);
  const together = (each) => sharing.get(`${each.plugin} ${each.id}`);
  return [table({
    name: "Bindings", rows: bindings.slice(0, 200), key: (each) => each.path, empty: "It is not bound.",
    columns: [
      { title: "Binding", cell: (each) => each.path },
      { title: "Plugin", cell: (each) => link(path("plugins", each.plugin), each.plugin) },
      { title: "Place", cell: (each) => h("code", null, each.place) },
      { title: "Mode", cell: (each) => `${each.mode}, on error ${each.on_error}` },
      { title: "State", cell: bindingState },
      { title: "Failures", number: true, cell: (each) => count(each.failures) },
      { title: "Calls/s", number: true, cell: (each) => (of(each) ? [count(of(each).rate), together(each) > 1 ? h("div", { class: "note" }, `${together(each)} bindings ${each.id}`) : null] : "–") },
      { title: "Mean", number: true, cell: (each) => duration(of(each)?.mean) },
      { title: "Actions", cell: (each) => (each.quarantined + each.probed && may(page, "operator") ? button("Release", () => release(page, each), { "aria-label": `Release ${each.path}` }) : "–") },
    ],
  }), more(bindings.length, 200, "bindings"), leftOutNote("bindings", leftOut("plugins"))];
}

function release(page, binding) {
  page.act({
    title: `Release ${binding.path}?`, text: "It runs again, and no failure brings it back into quarantine for 10 minutes.", action: "Release", danger: true,
    body: () => field("Reason", h("input", { name: "reason", maxlength: "500" })),
    run: ({ reason }) => call("POST", `plugins/${quote(binding.path)}:release`, { body: { reason } }),
    said: `${binding.path} is released.`,
  });
}

// -- a binding, made from the schema

function form(page, about) {
  const { local } = page;
  local.values ??= {};
  local.more ??= {};
  const changed = () => { local.verdict = null; page.draw(); };
  const binding = () => ({ name: page.name, ...(local.id ? { id: local.id } : {}), ...(Object.keys(local.values).length ? { config: local.values } : {}) });
  const text = yamlText([binding()]);
  return [
    h("div", { class: "grid" },
      h("div", null, field("id", h("input", { value: local.id ?? "", oninput: (event) => { local.id = event.target.value; changed(); } }), "The name of the binding; that of the plugin unless given."),
        objectForm(about.schema, about.schema, local.values, changed)),
      h("div", null, h("h3", null, "For plugins: of the gateway, or of a route"),
        h("pre", { tabindex: "0", role: "region", "aria-label": "YAML" }, text),
        h("div", { class: "actions" },
          button("Copy", () => copy(page, text)),
          button("Check", () => check(page, binding()), { disabled: !may(page, "operator"), title: may(page, "operator") ? null : needs("operator") }),
          button("Add to a route", () => addToRoute(page, binding()), { disabled: !may(page, "editor"), title: may(page, "editor") ? null : needs("editor") })),
        local.verdict === "fine" ? h("p", { role: "status" }, badge("good", "fine")) : null,
        local.verdict instanceof Problem ? failure(local.verdict) : null)),
  ];
}

async function copy(page, text) {
  try {
    await navigator.clipboard.writeText(text);
    page.say("Copied.");
  } catch {
    page.say("The browser does not let the page copy: select the text.");
  }
}

/** Have the gateway validate a binding on a route of its own, and change nothing. */
async function check(page, binding) {
  try {
    const { revision, ...document } = await get("config/document");
    const trial = { id: "dashboard-trial", path: "/.dashboard-trial", respond: { status: 204 }, plugins: [binding] };
    await call("POST", "config:validate", { body: { ...document, routes: [...document.routes, trial] } });
    page.local.verdict = "fine";
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    page.local.verdict = error;
  }
  page.draw();
}

async function addToRoute(page, binding) {
  const routes = (await all("routes")).filter((each) => each.owner === "api");
  if (routes.length === 0) {
    page.say("No route is in the API's document: put the YAML into the file of a route.");
    return;
  }
  page.act({
    title: `Add ${binding.id ?? binding.name} to a route`, text: "Only routes of the API's document can be changed here; what files have is changed in the files.", action: "Add",
    body: () => field("Route", h("select", { name: "route" }, routes.map((each) => h("option", { value: each.id }, each.id)))),
    run: async ({ route }) => {
      const response = await send("GET", `routes/${quote(route)}`);
      const { value } = await response.json();
      return call("PATCH", `routes/${quote(route)}`, { body: { plugins: [...(value.plugins ?? []), binding] }, headers: { "If-Match": response.headers.get("ETag") } });
    },
    said: "It is in force.",
  });
}
