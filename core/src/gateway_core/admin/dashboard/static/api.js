// Requests to the admin API. The token is sent in the field Authorization only; it is kept for this tab until it is
// closed (sessionStorage), and is in no address.

const KEY = "gateway-token";
export const BASE = "../api/v1/";

/** A response that is a problem (RFC 9457), or no response: then the status is 0. */
export class Problem extends Error {
  constructor(status, content) {
    super(content.detail ?? content.title ?? `status ${status}`);
    this.status = status;
    this.content = content;
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (text) => (text ? sessionStorage.setItem(KEY, text) : sessionStorage.removeItem(KEY)),
};

/** Send a request, and return the response, which is a success. */
export async function send(method, path, { body, headers = {}, signal } = {}) {
  const fields = { ...headers };
  if (token.get()) fields.Authorization = `Bearer ${token.get()}`;
  if (body !== undefined) fields["Content-Type"] = "application/json";
  const content = body === undefined ? undefined : JSON.stringify(body);
  let response;
  try {
    response = await fetch(BASE + path, { method, headers: fields, body: content, signal, redirect: "error", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The gateway does not respond." });
  }
  if (response.ok) return response;
  throw new Problem(response.status, await problemOf(response));
}

async function problemOf(response) {
  const text = await response.text().catch(() => "");
  try {
    const content = JSON.parse(text);
    // Commands of plugins return a list, one entry for each worker.
    return Array.isArray(content) ? { detail: content.map((each) => each.error ?? "").filter(Boolean).join("; ") } : content;
  } catch {
    return { detail: text.trim().slice(0, 200) || `status ${response.status}` };
  }
}

/** Send a request, and return the JSON of the response. */
export async function call(method, path, options) {
  return (await send(method, path, options)).json();
}

export const get = (path, options) => call("GET", path, options);

/** Return all items of a list that comes in pages. */
export async function all(path, options) {
  const items = [];
  for (let offset = 0; offset !== null; ) {
    const page = await get(`${path}?limit=1000&offset=${offset}`, options);
    items.push(...page.items);
    offset = page.next;
  }
  return items;
}

export const quote = encodeURIComponent;
