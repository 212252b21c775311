// One dialog at a time, which asks before something is changed.

import { Problem } from "./api.js";
import { h } from "./dom.js";
import { button, failure } from "./parts.js";

let open = null;
let draw = () => {};

export const setDialogDraw = (each) => { draw = each; };

/**
 * Ask.
 *
 * options: {title, text, body(form), action, danger, run(form) -> Promise, done(result), failed(error)}
 */
export function openDialog(options) {
  open = { ...options, problem: null, busy: false, element: null };
  draw();
}

export function dialogNode() {
  if (open === null) return null;
  const dialog = open;
  return h("dialog", {
    key: "dialog", "aria-labelledby": "dialog-title",
    created: (element) => { dialog.element = element; element.showModal(); },
    onclose: () => { if (open === dialog) { open = null; draw(); } },
  },
  h("form", { onsubmit: (event) => submit(event, dialog) },
    h("h2", { id: "dialog-title" }, dialog.title),
    [dialog.text].flat().filter(Boolean).map((each) => h("p", null, each)),
    dialog.body ? dialog.body(dialog) : null,
    failure(dialog.problem),
    h("div", { class: "actions" },
      h("button", { class: dialog.danger ? "danger" : "main", disabled: dialog.busy }, dialog.busy ? "Wait …" : dialog.action),
      button("Cancel", () => dialog.element.close()))));
}

async function submit(event, dialog) {
  event.preventDefault();
  Object.assign(dialog, { busy: true, problem: null });
  const form = Object.fromEntries(new FormData(event.target));
  draw();
  try {
    const result = await dialog.run(form);
    dialog.element.close(); // which gives the focus back
    dialog.done?.(result);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    dialog.problem = error;
    dialog.failed?.(error);
  } finally {
    dialog.busy = false;
    draw();
  }
}
