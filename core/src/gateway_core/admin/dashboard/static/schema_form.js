// A form made from a JSON Schema (2020-12), as far as a form makes sense; the rest is written as JSON.

import { h } from "./dom.js";
import { button, field } from "./parts.js";

/** Follow references, and leave out null where it only stands for "not given". */
export function resolve(schema, root) {
  let found = schema ?? {};
  for (let depth = 0; found.$ref && depth < 20; depth += 1) {
    const target = found.$ref.replace(/^#\//, "").split("/").reduce((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], root);
    found = { ...target, ...found, $ref: target?.$ref };
  }
  const choices = found.anyOf ?? found.oneOf;
  if (choices) {
    const rest = choices.filter((each) => each.type !== "null");
    if (rest.length === 1) return { ...resolve(rest[0], root), ...without(found) };
    const plain = rest.map((each) => resolve(each, root));
    // A duration is text, or the number 0: text is enough.
    const text = plain.find((each) => each.type === "string" && !each.enum);
    if (text && plain.every((each) => each === text || each.enum || each.type === "integer" || each.type === "number")) return { ...text, ...without(found) };
  }
  return found;
}

function without({ anyOf, oneOf, ...rest }) {
  return rest;
}

/**
 * Return the inputs of an object.
 *
 * values: what was given so far, changed in place; changed() is called after each change.
 */
export function objectForm(schema, root, values, changed, prefix = "") {
  const object = resolve(schema, root);
  const required = new Set(object.required ?? []);
  const properties = Object.entries(object.properties ?? {});
  if (properties.length === 0) return h("p", { class: "empty" }, "There is nothing to set.");
  const ordered = [...properties.filter(([name]) => required.has(name)), ...properties.filter(([name]) => !required.has(name))];
  return ordered.map(([name, each]) => input(name, each, root, values, changed, required.has(name), `${prefix}${name}`));
}

function input(name, schema, root, values, changed, required, path) {
  const found = resolve(schema, root);
  const label = `${path}${required ? " (required)" : ""}`;
  const note = [found.description?.replaceAll("``", ""), found.default !== undefined && found.default !== null ? `Default: ${JSON.stringify(found.default)}` : ""].filter(Boolean).join(" ");
  const set = (value) => {
    if (value === undefined) delete values[name];
    else values[name] = value;
    changed();
  };
  if (found.const !== undefined) return field(label, h("input", { value: JSON.stringify(found.const), readonly: true }), note);
  if (found.enum) {
    return h("div", { key: path }, field(label, h("select", { onchange: (event) => set(event.target.value === "" ? undefined : found.enum[Number(event.target.value)]) },
      h("option", { value: "" }, "–"), found.enum.map((each, index) => h("option", { value: String(index), selected: values[name] === each }, String(each)))), note));
  }
  if (found.type === "boolean") {
    return h("div", { key: path }, field(label, h("select", { onchange: (event) => set({ true: true, false: false }[event.target.value]) },
      h("option", { value: "" }, "–"), ["true", "false"].map((each) => h("option", { value: each, selected: String(values[name]) === each }, each))), note));
  }
  if (found.type === "integer" || found.type === "number") {
    return h("div", { key: path }, field(label, h("input", { type: "number", step: found.type === "integer" ? "1" : "any", min: found.minimum, max: found.maximum, value: values[name] ?? "",
      oninput: (event) => set(event.target.value === "" ? undefined : Number(event.target.value)) }), note));
  }
  if (found.type === "string") {
    return h("div", { key: path }, field(label, h("input", { value: values[name] ?? "", placeholder: found.examples?.[0] ?? "",
      oninput: (event) => set(event.target.value === "" ? undefined : event.target.value) }), note));
  }
  if (found.type === "object" && found.properties) return group(name, found, root, values, changed, label, note, path);
  return json(name, values, set, label, note, path);
}

function group(name, schema, root, values, changed, label, note, path) {
  const given = values[name] !== undefined;
  return h("fieldset", { key: path }, h("legend", null, label), note ? h("small", null, note) : null,
    given ? objectForm(schema, root, values[name], changed, `${path}.`) : null,
    button(given ? `Leave out ${path}` : `Set ${path}`, () => {
      if (given) delete values[name];
      else values[name] = {};
      changed();
    }));
}

function json(name, values, set, label, note, path) {
  return h("div", { key: path }, field(label, h("textarea", { rows: "2", spellcheck: "false", placeholder: "as JSON", "aria-invalid": null,
    oninput: (event) => {
      const text = event.target.value.trim();
      try {
        set(text === "" ? undefined : JSON.parse(text));
        event.target.removeAttribute("aria-invalid");
      } catch {
        event.target.setAttribute("aria-invalid", "true");
      }
    } }), `${note} As JSON.`.trim()));
}
