// Writes plain data as YAML: keys and text are quoted as JSON wherever they could be read as something else.

const PLAIN = /^[A-Za-z_][A-Za-z0-9_./-]*$/;
const WORDS = new Set(["true", "false", "null", "yes", "no", "on", "off", "y", "n"]);

export function yaml(value, indent = "") {
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return value.map((each) => `\n${indent}- ${item(each, `${indent}  `)}`).join("");
  }
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value);
    if (entries.length === 0) return "{}";
    return entries.map(([name, each]) => `\n${indent}${scalar(name)}:${nested(each, `${indent}  `)}`).join("");
  }
  return scalar(value);
}

/** As a document, or as the items of a list. */
export const yamlText = (value) => `${yaml(value).replace(/^\n/, "")}\n`;

function nested(value, indent) {
  const text = yaml(value, indent);
  return text.startsWith("\n") ? text : ` ${text}`;
}

function item(value, indent) {
  // The first key of a mapping stands behind the dash.
  return yaml(value, indent).replace(/^\n\s*/, "");
}

function scalar(value) {
  if (typeof value === "string" && PLAIN.test(value) && !WORDS.has(value.toLowerCase())) return value;
  return JSON.stringify(value);
}
