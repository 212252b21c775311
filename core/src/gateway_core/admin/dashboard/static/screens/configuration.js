import { call, get } from "../api.js";
import { h } from "../dom.js";
import { count, duration, short, time } from "../format.js";
import { badge, button, card, failure, field, problems, table, when } from "../parts.js";
import { may } from "../rights.js";

export default {
  title: () => "Configuration",
  every: 5000,
  load: async (page, signal) => {
    const [config, history, sources, overview] = await Promise.all([get("config", { signal }), get("config/history", { signal }), get("sources", { signal }), get("overview", { signal })]);
    const { old, new: newer } = page.query;
    let difference = null;
    let problem = null;
    if (old && newer) {
      try {
        difference = await get(`config/diff?old=${Number(old) || 0}&new=${Number(newer) || 0}`, { signal });
      } catch (error) {
        if (error.name === "AbortError" || [0, 401].includes(error.status)) throw error;
        problem = error;
      }
    }
    return { ...config, history, sources: sources.sources, pinned: overview.pinned, difference, problem };
  },
  reloadsOnQuery: true,
  view: (page) => {
    const config = page.data;
    return [inForce(page, config), lastProblems(page, config), history(page, config), config.difference || config.problem ? difference(config) : null, sources(config)];
  },
};

function inForce(page, config) {
  const last = config.last_reload;
  const pin = config.pinned ?? config.history.pinned;
  return card("In force",
    h("dl", { class: "pairs" },
      h("dt", null, "Version"), h("dd", null, h("code", null, short(config.version))),
      h("dt", null, "Last reload"), h("dd", null, last ? [badge(last.ok ? "good" : "bad", last.result), " ", when(last.at), ` in ${duration(last.seconds)}, by ${last.trigger}`, last.reason ? h("div", { class: "note" }, last.reason) : null] : "–"),
      h("dt", null, "Pinned"), h("dd", null, pin ? [badge("warn", `pinned to version ${pin.number}`), ` by ${pin.by ?? "–"}`, pin.reason ? `: ${pin.reason}` : "", pin.at ? [", ", when(pin.at)] : null] : "no"),
      h("dt", null, "The API's document"), h("dd", null, h("code", null, config.document.place), `, revision ${config.document.revision}`)),
    h("div", { class: "actions" },
      may(page, "operator") ? button("Reload", () => reload(page)) : null,
      pin && may(page, "editor") ? button("Unpin", () => unpin(page)) : null),
    page.local.report ? [h("h3", null, "What the reload found"), problems([], page.local.report)] : null,
    config.history.not_kept ? h("p", null, badge("warn", "no history"), ` ${config.history.not_kept}`) : null);
}

function lastProblems(page, config) {
  const failed = config.last_failed_reload;
  if (!failed && !config.warnings?.length) return null;
  const isOver = failed && config.last_reload?.ok;
  return card("Problems",
    failed ? [h("h3", null, isOver ? "The last reload that failed" : "The last reload failed"), h("p", null, when(failed.at), ` (${time(failed.at)}), by ${failed.trigger}: ${failed.reason || failed.result}`), problems(failed.problems, failed.report)] : null,
    config.warnings?.length ? [h("h3", null, "Warnings of what is in force"), problems(config.warnings)] : null);
}

function history(page, config) {
  const { versions } = config.history;
  const current = versions[0]?.number;
  const pick = (name) => (each) => h("input", { type: "radio", name, checked: page.query[name] === String(each.number), "aria-label": `version ${each.number} as the ${name === "old" ? "older" : "newer"} one`,
    onchange: () => page.setQuery({ [name]: each.number }) });
  return card("History", table({
    name: "Versions that were in force", rows: versions, key: (each) => each.number, empty: "No version is kept.",
    columns: [
      { title: "Version", cell: (each) => [`${each.number} `, h("code", null, short(each.version)), each.version === config.version ? [" ", badge("good", "in force")] : null] },
      { title: "At", cell: (each) => when(each.at) },
      { title: "By", cell: (each) => each.trigger },
      { title: "Changes", cell: (each) => each.changes },
      { title: "Size", number: true, cell: (each) => count(each.size) },
      { title: "Older", cell: pick("old") },
      { title: "Newer", cell: pick("new") },
      { title: "Actions", cell: (each) => [
        each.number !== current ? button("Compare", () => page.setQuery({ old: each.number, new: current }), { "aria-label": `Compare version ${each.number} with the newest` }) : null, " ",
        each.version !== config.version && may(page, "editor") ? button("Roll back", () => rollBack(page, each), { class: "danger", "aria-label": `Roll back to version ${each.number}` }) : null] },
    ],
  }));
}

function difference({ difference: found, problem }) {
  if (problem) return card("Differences", failure(problem));
  const text = (value) => (value === null || value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value, null, 1));
  return card(`From version ${found.from} to ${found.to}`,
    h("p", { role: "status" }, `${count(found.total)} differences`, found.total > found.differences.length ? `, ${found.differences.length} are shown` : ""),
    h("div", { class: "diff" }, table({
      name: "Differences", rows: found.differences.map((each, index) => ({ ...each, index })), key: (each) => each.index, empty: "They are the same.",
      columns: [
        { title: "Key", cell: (each) => h("code", null, each.path || "(all)") },
        { title: "Change", cell: (each) => (each.before === null ? badge("good", "added") : each.after === null ? badge("bad", "removed") : badge("warn", "changed")) },
        { title: "Older", cell: (each) => h("pre", null, text(each.before)) },
        { title: "Newer", cell: (each) => h("pre", null, text(each.after)) },
      ],
    })));
}

function sources(config) {
  return card("Sources", table({
    name: "Sources", rows: config.sources, key: (each) => each.source, empty: "Only files.",
    columns: [
      { title: "Source", cell: (each) => each.source },
      { title: "State", cell: (each) => (each.stale ? badge("warn", "stale") : badge("good", "current")) },
      { title: "Confirmed", cell: (each) => when(each.confirmed_at) },
      { title: "Documents", number: true, cell: (each) => count(each.documents.length) },
      { title: "Rejected", cell: (each) => each.rejected.join(", ") || "none" },
    ],
  }));
}

// -- actions

function reload(page) {
  page.act({
    title: "Reload the configuration?", text: "Files and sources are read again. What has problems is not put in force.", action: "Reload",
    run: async () => {
      const outcome = await call("POST", "reload");
      page.local.report = outcome.report;
      return outcome;
    },
    said: (outcome) => (outcome.ok ? "The configuration was reloaded." : "The reload failed: nothing has changed."),
  });
}

function rollBack(page, version) {
  page.act({
    title: `Roll back to version ${version.number}?`, action: "Roll back", danger: true,
    text: ["It is put in force and pinned: changes of files and sources are validated, but not applied, until it is unpinned."],
    body: () => field("Reason", h("input", { name: "reason", maxlength: "500" }), "Shown as long as it is pinned."),
    run: ({ reason }) => call("POST", "config:rollback", { body: { number: version.number, reason } }),
    said: `Version ${version.number} is in force and pinned.`,
  });
}

function unpin(page) {
  page.act({
    title: "Unpin?", text: "Files and sources count again, and are applied now.", action: "Unpin", danger: true,
    run: () => call("POST", "config:unpin"),
    said: "Files and sources count again.",
  });
}
