// States of endpoints and upstreams, joined over the workers of a gateway.

import { badge } from "./parts.js";

const KINDS = { up: "good", unhealthy: "bad", unreachable: "bad", ejected: "warn", drain: "off", draining: "off", down: "off" };

/** Join what each worker has of an upstream: counts are added, states that differ are kept apart. */
export function joined(workers) {
  const endpoints = new Map();
  for (const worker of workers) {
    for (const each of [...(worker.endpoints ?? []), ...(worker.leaving ?? []).filter((leaving) => leaving && leaving.id).map((leaving) => ({ ...leaving, isLeaving: true }))]) {
      const found = endpoints.get(each.id) ?? { ...each, active: 0, pending: 0, states: [], breakers: [], errors: new Set(), ejected: 0 };
      found.active += each.active ?? 0;
      found.pending += each.pending ?? 0;
      found.states.push(each.isLeaving ? "leaving" : each.state);
      if (each.breaker) found.breakers.push(each.breaker.state);
      if (each.last_error) found.errors.add(each.last_error);
      found.ejected = Math.max(found.ejected, each.ejected_for ?? 0);
      endpoints.set(each.id, found);
    }
  }
  const first = workers[0] ?? {};
  const sum = (name) => workers.reduce((total, each) => total + (each[name] ?? 0), 0);
  return {
    strategy: first.strategy ?? "–",
    panic: workers.some((each) => each.panic),
    active: sum("active"), pending: sum("pending"), retrying: sum("retrying"),
    stale: workers.some((each) => each.discovery?.stale),
    discovery: first.discovery ?? null,
    endpoints: [...endpoints.values()],
  };
}

function parts(values) {
  const counts = new Map();
  for (const each of values) counts.set(each, (counts.get(each) ?? 0) + 1);
  return [...counts];
}

export function endpointState(endpoint) {
  return parts(endpoint.states).map(([state, number]) =>
    [badge(KINDS[state] ?? "off", endpoint.states.length === number ? state : `${state} in ${number} of ${endpoint.states.length} workers`), " "]);
}

export function breakerState(endpoint) {
  if (endpoint.breakers.length === 0) return "–";
  return parts(endpoint.breakers).map(([state, number]) =>
    [badge(state === "closed" ? "good" : state === "open" ? "bad" : "warn", endpoint.breakers.length === number ? state : `${state} in ${number}`), " "]);
}

/** How an upstream is, in one badge. */
export function upstreamState(upstream) {
  const usable = upstream.endpoints.filter((each) => each.states.includes("up")).length;
  const total = upstream.endpoints.length;
  if (total === 0) return badge("bad", "no endpoints");
  if (usable === 0) return badge("bad", `0 of ${total} up`);
  if (upstream.panic) return badge("warn", "panic mode");
  if (upstream.stale) return badge("warn", "discovery is stale");
  return badge(usable === total ? "good" : "warn", `${usable} of ${total} up`);
}
