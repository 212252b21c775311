// Renders trees of nodes into the document, and changes only what differs from the tree before: focus, selections and
// scroll positions stay. Text becomes text nodes and attributes, never markup, so nothing has to be escaped.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "line", "rect", "text", "circle", "polyline"]);
const PROPERTIES = new Set(["value", "checked", "disabled", "open", "selected", "indeterminate"]);
const BEFORE = Symbol("the children that were rendered last");

/** Return a node. A `key` identifies it among its siblings; without one its position does. */
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, children: flat(children), key: props?.key, element: null };
}

/** Make an element have some children. */
export function render(parent, ...children) {
  const after = flat(children);
  patchChildren(parent, parent[BEFORE] ?? [], after);
  parent[BEFORE] = after;
}

function flat(children, prefix = "", found = []) {
  children.forEach((child, index) => {
    // What is left out (null, false) keeps its position, so that its siblings are recognised.
    const position = `${prefix}${index}`;
    if (Array.isArray(child)) flat(child, `${position}.`, found);
    else if (child === null || child === undefined || typeof child === "boolean") return;
    else if (typeof child === "object") found.push(Object.assign(child, { position }));
    else found.push({ tag: null, text: String(child), position, element: null });
  });
  return found;
}

function identity(node) {
  return node.key === undefined ? `${node.tag}@${node.position}` : `${node.tag}=${node.key}`;
}

function patchChildren(parent, before, after) {
  const old = new Map(before.map((node) => [identity(node), node]));
  for (const node of after) {
    const match = old.get(identity(node));
    if (match === undefined) {
      create(node);
    } else {
      old.delete(identity(node));
      node.element = match.element;
      patch(match, node);
    }
  }
  for (const node of old.values()) node.element.remove();
  let next = parent.firstChild;
  for (const node of after) {
    if (node.element === next) next = next.nextSibling;
    else parent.insertBefore(node.element, next);
  }
}

function create(node) {
  if (node.tag === null) {
    node.element = document.createTextNode(node.text);
    return;
  }
  node.element = SVG_TAGS.has(node.tag) ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  patchChildren(node.element, [], node.children);
  for (const [name, value] of Object.entries(node.props)) set(node.element, name, value);
  if (node.props.created) queueMicrotask(() => node.props.created(node.element));
}

function patch(before, after) {
  if (after.tag === null) {
    if (before.text !== after.text) after.element.data = after.text;
    return;
  }
  patchChildren(after.element, before.children, after.children);
  for (const name of Object.keys(before.props)) if (!(name in after.props)) set(after.element, name, null);
  for (const [name, value] of Object.entries(after.props)) {
    if (value !== before.props[name] || PROPERTIES.has(name)) set(after.element, name, value);
  }
}

function set(element, name, value) {
  if (name === "key" || name === "created") return;
  if (name.startsWith("on")) element[name] = value;
  else if (PROPERTIES.has(name)) {
    if (element[name] !== value) element[name] = value ?? (name === "value" ? "" : false);
  } else if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : value);
}
