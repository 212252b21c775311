// Writes an object of the API's document: validated first if wanted, with the revision that was read.

import { call, Problem, quote, send } from "./api.js";
import { h } from "./dom.js";
import { plural } from "./format.js";
import { badge, button, card, failure, field, more } from "./parts.js";
import { may, needs } from "./rights.js";

/**
 * The card of an object: how it is changed, or where.
 *
 * kind: "routes" or "upstreams"; object: as the API returns it.
 */
export function editorCard(page, kind, object) {
  const noun = kind.slice(0, -1);
  const name = object.id ?? object.name;
  if (object.owner !== "api") {
    return card("Change it", h("p", { class: "note" }, `This ${noun} is written in a file or a source: change it there, at `, h("code", null, object.place), "."));
  }
  if (!may(page, "editor")) return card("Change it", h("p", { class: "note" }, needs("editor")));
  return card("Change it",
    h("div", { class: "actions" },
      button("Edit", () => edit(page, kind, name)),
      button("Delete", () => remove(page, kind, name), { class: "danger" })));
}

export function newButton(page, kind, example) {
  return may(page, "editor") ? button(`New ${kind.slice(0, -1)}`, () => write(page, kind, null, example, { "If-None-Match": "*" })) : null;
}

async function edit(page, kind, name) {
  try {
    const response = await send("GET", `${kind}/${quote(name)}`);
    const { value } = await response.json();
    write(page, kind, name, value, { "If-Match": response.headers.get("ETag") });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    page.say(error.message);
  }
}

function write(page, kind, name, value, headers) {
  const noun = kind.slice(0, -1);
  let verdict = null;
  const request = (form, dry) => call("PUT", `${kind}/${quote(name ?? form.name)}${dry ? "?dry_run=true" : ""}`, { body: parse(form.value), headers });
  page.act({
    title: name === null ? `New ${noun}` : `Edit ${noun} ${name}`, action: "Save",
    text: "It is validated with all files and sources, and in force when this closes. Secrets are read as **********; written back, they stay.",
    body: (dialog) => [
      name === null ? field(noun === "route" ? "id" : "name", h("input", { name: "name", required: true, maxlength: "200" })) : null,
      field("Definition, as JSON", h("textarea", { name: "value", rows: "14", spellcheck: "false", created: (each) => { each.value = JSON.stringify(value, null, 2); } })),
      button("Check", async (event) => {
        try {
          const { outcome } = await request(Object.fromEntries(new FormData(event.target.form)), true);
          verdict = outcome;
          dialog.problem = null;
        } catch (error) {
          if (!(error instanceof Problem)) throw error;
          verdict = null;
          dialog.problem = error;
        }
        page.draw();
      }),
      verdict ? h("div", { role: "status" }, h("p", null, badge("good", "fine")), losses(verdict)) : null,
    ],
    run: (form) => request(form, false),
    said: "It is in force.",
  });
}

/** What ends when it is put in force, of everything that is in force. */
function losses({ losses: found = [] }) {
  const texts = found.map((each) => each.kind === "connections"
    ? `Connections to ${each.endpoint} of ${each.upstream}, with ${plural(each.active_requests, "request")} in flight`
    : `The state of ${each.plugin} (${each.binding}), which ${each.what}`);
  if (texts.length === 0) return h("p", null, "No connections and no state of plugins would be lost.");
  return [h("p", null, "What would be lost:"), h("ul", null, texts.slice(0, 50).map((each) => h("li", { key: each }, each))), more(texts.length, 50, "losses")];
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem(422, { detail: `This is no JSON: ${error.message}` });
  }
}

function remove(page, kind, name) {
  page.act({
    title: `Delete ${kind.slice(0, -1)} ${name}?`, text: "Its requests are not taken any more as soon as this closes.", action: "Delete", danger: true,
    run: async () => {
      const response = await send("GET", `${kind}/${quote(name)}`);
      return call("DELETE", `${kind}/${quote(name)}`, { headers: { "If-Match": response.headers.get("ETag") } });
    },
    said: `${name} is deleted.`,
    leave: `#/${kind}`,
  });
}
