// The live events of the gateway (docs/admin.md, "Events"): read by `fetch`, which can send the field Authorization,
// kept for some minutes, and gone on with from the last id after a connection is lost. What was missed is shown as a gap.

import { Problem, send } from "./api.js";

export const SECONDS = 300; // of traffic that are kept
const RECENT = 10; // seconds over which rates of rows are taken
const MOST_CHANGES = 200;

export const live = {
  state: "off", // off, connecting, live, waiting (for the next attempt), paused
  series: [], // {at, data} of each second, or {at, gap: reason}
  changes: [], // the newest first; gaps among them
  lastUsed: new Map(), // by route: when it had a request, as far as this page has seen
};

let abort = null;
let lastId = "";
let onEvent = () => {};
let onRefused = () => {};
let failures = 0;
let summed = null;

/** Have functions called: for each event, and when the gateway refuses the stream. */
export function listen(each, refused) {
  onEvent = each;
  onRefused = refused;
}

export function startLive() {
  if (abort !== null) return;
  abort = new AbortController();
  if (live.state === "paused") noteGap("paused");
  run(abort.signal);
}

export function stopLive(state = "off") {
  abort?.abort();
  abort = null;
  live.state = state;
}

async function run(signal) {
  while (!signal.aborted) {
    let wait = 500 * 2 ** Math.min(failures, 4);
    live.state = "connecting";
    try {
      const reason = await read("events", signal, { note: true });
      if (["restarting", "stopping", "listener-closed"].includes(reason)) wait = 1000;
      failures = 0;
      if (reason && !["restarting", "stopping", "listener-closed"].includes(reason)) return onRefused();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && [401, 403].includes(error.status)) return onRefused();
      failures += 1;
    }
    if (signal.aborted) return;
    live.state = "waiting";
    noteGap("the connection was lost");
    onEvent("state");
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/**
 * Read a stream until it ends; return why, as the event `end` has it.
 *
 * Also used for the tail, whose events go to `take`.
 */
export async function read(path, signal, { note = false, take = null, resume = "" } = {}) {
  const inner = new AbortController();
  const stop = () => inner.abort();
  signal.addEventListener("abort", stop);
  let patience = 30;
  let watch = 0;
  const heard = () => { clearTimeout(watch); watch = setTimeout(stop, patience * 1000); };
  try {
    heard();
    const id = note ? lastId : resume;
    const response = await send("GET", path, { signal: inner.signal, headers: id ? { "Last-Event-ID": id } : {} });
    let reason = "";
    for await (const event of events(response.body, heard)) {
      if (event.id && note) lastId = event.id;
      if (event.data === "") continue;
      const data = JSON.parse(event.data);
      if (event.name === "hello") patience = Math.max(5, data.heartbeat * 2.5);
      if (event.name === "end") reason = data.reason;
      else if (note) keep(event.name, data);
      take?.(event.name, data, event.id);
    }
    return reason;
  } finally {
    clearTimeout(watch);
    signal.removeEventListener("abort", stop);
    inner.abort();
  }
}

/** Take a stream apart (HTML, "Server-sent events"). */
export async function* events(body, heard = () => {}) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { name: "message", data: [], id: "" };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    rest += value;
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data.length || event.id) yield { ...event, data: event.data.join("\n") };
        event = { name: "message", data: [], id: "" };
        continue;
      }
      const [, name, text] = /^([^:]*):? ?(.*)$/.exec(line);
      if (name === "event") event.name = text;
      else if (name === "data") event.data.push(text);
      else if (name === "id") event.id = text;
    }
  }
}

function keep(name, data) {
  live.state = "live";
  if (name === "traffic") {
    push({ at: Date.parse(data.at) / 1000, data });
    for (const each of data.routes) if (each.requests) live.lastUsed.set(each.route, data.at);
  } else if (name === "change") {
    live.changes.unshift({ ...data, number: (live.changes[0]?.number ?? 0) + 1 });
  } else if (name === "gap") {
    if (data.kind === "traffic") push({ at: Date.parse(data.at) / 1000, gap: data.reason });
    else live.changes.unshift({ gap: data.reason, lost: data.lost, at: data.at, number: (live.changes[0]?.number ?? 0) + 1 });
  }
  live.changes.length = Math.min(live.changes.length, MOST_CHANGES);
  onEvent(name);
}

function noteGap(reason) {
  const last = live.series.at(-1);
  if (last && !last.gap) push({ at: last.at + 1, gap: reason });
}

function push(entry) {
  live.series.push(entry);
  while (live.series.length > SECONDS || live.series[0]?.at < entry.at - SECONDS) live.series.shift();
  summed = null;
}

/** What the last seconds had, by kind and row. */
export function recent() {
  if (summed !== null) return summed;
  const since = (live.series.at(-1)?.at ?? 0) - RECENT; // an event has the traffic of a second, or of a few
  const seconds = live.series.filter((each) => each.data && each.at > since).map((each) => each.data);
  summed = {
    gateway: seconds.at(-1)?.gateway ?? null,
    routes: rows(seconds, "routes", (each) => each.route ?? ""),
    upstreams: rows(seconds, "upstreams", (each) => each.upstream),
    plugins: rows(seconds, "plugins", (each) => `${each.plugin} ${each.binding}`),
    reasons: sums(seconds.map((each) => each.gateway.reasons ?? {})),
  };
  return summed;
}

/** What the last second's event leaves out of a kind, as only rows with most errors and requests are sent. */
export function leftOut(kind) {
  return live.series.findLast((each) => each.data)?.data.left_out[kind] ?? null;
}

function rows(seconds, kind, key) {
  const found = new Map();
  const took = seconds.reduce((total, each) => total + each.seconds, 0) || 1;
  for (const second of seconds) {
    for (const each of second[kind] ?? []) {
      const row = found.get(key(each)) ?? { requests: 0, failures: 0, errors: 0, calls: 0, timeouts: 0, retries: 0, refusals: 0, endpoints: new Map() };
      for (const name of ["requests", "failures", "errors", "calls", "timeouts", "retries", "refusals"]) row[name] += each[name] ?? 0;
      row.rate = (attempts(row) || row.calls) / took;
      for (const name of ["p50", "p95", "p99", "mean"]) row[name] = each[name] ?? row[name] ?? null; // the latest that is known
      row.last = each;
      for (const endpoint of each.endpoints ?? []) {
        const at = row.endpoints.get(endpoint.endpoint) ?? { requests: 0, failures: 0, errors: 0 };
        at.requests += endpoint.requests;
        at.failures += endpoint.failures;
        at.errors += endpoint.errors;
        at.rate = attempts(at) / took;
        at.p95 = endpoint.p95 ?? at.p95 ?? null;
        row.endpoints.set(endpoint.endpoint, at);
      }
      found.set(key(each), row);
    }
  }
  return found;
}

function sums(parts) {
  const found = new Map();
  for (const part of parts) for (const [name, number] of Object.entries(part)) if (number) found.set(name, (found.get(name) ?? 0) + number);
  return found;
}

/** Responses, and of endpoints the attempts that ended without one. */
const attempts = (row) => row.requests + (row.failures ?? 0);

export const share = (row) => (row && attempts(row) ? row.errors / attempts(row) : null);
