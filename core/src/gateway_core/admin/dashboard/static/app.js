// The page: who is logged in, which screen the address names, when it is loaded again, and what surrounds it.

import { get, Problem, token } from "./api.js";
import { dialogNode, openDialog, setDialogDraw } from "./dialog.js";
import { h, render } from "./dom.js";
import { time } from "./format.js";
import { listen, live, startLive, stopLive } from "./live.js";
import { badge, button, failure, field } from "./parts.js";
import configuration from "./screens/configuration.js";
import health from "./screens/health.js";
import overview from "./screens/overview.js";
import plugin from "./screens/plugin.js";
import plugins from "./screens/plugins.js";
import route from "./screens/route.js";
import routes from "./screens/routes.js";
import tail from "./screens/tail.js";
import upstream from "./screens/upstream.js";
import upstreams from "./screens/upstreams.js";

const SECTIONS = [
  ["overview", "Overview"], ["routes", "Routes"], ["upstreams", "Upstreams"], ["plugins", "Plugins"],
  ["configuration", "Configuration"], ["tail", "Tail"], ["health", "Health"],
];
const SCREENS = { overview, routes, upstreams, plugins, configuration, tail, health };
const SCREENS_OF_ONE = { routes: route, upstreams: upstream, plugins: plugin };

const EVERY = 2000;
const LONGEST_WAIT = 10000;

const state = {
  session: null,
  login: null, // the message of the login form, when it is shown
  page: null,
  paused: false,
  lost: null, // since when the gateway does not respond
  failures: 0,
  said: "",
};
let timer = 0;

// -- the address

function parse(hash) {
  const [place, search = ""] = hash.replace(/^#/, "").split("?");
  const parts = place.split("/").filter(Boolean).map(decode);
  return { parts, query: Object.fromEntries(new URLSearchParams(search)) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function screenOf([section = "overview", name]) {
  if (name !== undefined) return SCREENS_OF_ONE[section] ?? null;
  return SCREENS[section] ?? null;
}

/** Put the state of a screen into the address: without a new entry in the browser's history. */
function setQuery(changes) {
  const page = state.page;
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === null || value === undefined || value === false) delete page.query[name];
    else page.query[name] = String(value);
  }
  const search = new URLSearchParams(page.query).toString();
  history.replaceState(null, "", `#${page.place}${search ? `?${search}` : ""}`);
  if (page.screen.reloadsOnQuery) refresh();
  draw();
}

function navigate() {
  const { parts, query } = parse(location.hash);
  const place = `/${parts.map(encodeURIComponent).join("/")}`;
  const before = state.page;
  if (before?.place === place) {
    before.query = query;
    draw();
    return;
  }
  before?.abort.abort();
  before?.screen?.leave?.(before);
  const screen = screenOf(parts);
  const page = { place, parts, query, screen, data: null, problem: null, at: null, local: {}, abort: new AbortController() };
  state.page = page;
  Object.assign(page, { setQuery, draw, act, say, refresh, params: parts.slice(1), name: parts[1] });
  Object.defineProperty(page, "session", { get: () => state.session });
  Object.defineProperty(page, "paused", { get: () => state.paused });
  screen?.enter?.(page);
  draw();
  if (before !== null) document.querySelector("h1")?.focus();
  refresh();
}

// -- loading

async function refresh() {
  clearTimeout(timer);
  const page = state.page;
  if (state.session === null || !page?.screen?.load) return;
  page.turn = (page.turn ?? 0) + 1;
  const turn = page.turn;
  try {
    const data = await page.screen.load(page, page.abort.signal);
    if (page !== state.page || turn !== page.turn) return;
    Object.assign(page, { data, problem: null, at: Date.now() });
    found();
  } catch (error) {
    if (error.name === "AbortError" || page !== state.page || turn !== page.turn) return;
    if (!(error instanceof Problem)) throw error;
    fail(error, page);
  }
  draw();
  plan();
}

function plan() {
  clearTimeout(timer);
  if (state.session === null) return;
  const wait = state.lost === null ? state.page.screen?.every ?? EVERY : Math.min(LONGEST_WAIT, 500 * 2 ** state.failures);
  timer = setTimeout(() => (state.paused || document.hidden ? plan() : refresh()), wait);
}

function fail(error, page) {
  if (error.status === 401) askForToken(error.message);
  else if (error.status === 0) {
    state.failures += 1;
    state.lost ??= Date.now();
  } else page.problem = error;
}

function found() {
  if (state.lost !== null) say("The gateway responds again.");
  Object.assign(state, { lost: null, failures: 0 });
}

// -- events

function onEvent(name) {
  if (name === "traffic" && !state.page?.screen?.usesTraffic) return;
  if (name === "change") soon();
  draw();
}

/** Load the screen again, once for all changes of a moment. */
function soon() {
  clearTimeout(timer);
  timer = setTimeout(() => (state.paused || document.hidden ? plan() : refresh()), 300);
}

/** The stream was refused: the rights may have changed, or have ended. */
async function onRefused() {
  stopLive();
  await start();
}

// -- actions

/** Ask before something is changed, carry it out, say what became of it, and load the screen again. */
function act(options) {
  openDialog({
    ...options,
    done: (result) => {
      if (options.said) say(typeof options.said === "function" ? options.said(result) : options.said);
      if (options.leave) location.hash = options.leave;
      else refresh();
    },
    failed: (error) => error.status === 401 && askForToken(error.message),
  });
}

/** Have it read aloud by a screen reader, and shown at the top. */
function say(text) {
  state.said = text;
  draw();
}

// -- the session

async function start() {
  try {
    state.session = await get("session");
    state.login = null;
    found();
    if (!state.paused) startLive();
    if (state.page === null) navigate();
    else refresh();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 0) {
      state.lost ??= Date.now();
      state.failures += 1;
      setTimeout(start, Math.min(LONGEST_WAIT, 500 * 2 ** state.failures));
    } else askForToken(token.get() ? error.message : "");
  }
  draw();
}

function askForToken(message) {
  token.set("");
  stopLive();
  clearTimeout(timer);
  Object.assign(state, { session: null, login: { message } });
  draw();
}

async function logIn(event) {
  event.preventDefault();
  token.set(new FormData(event.target).get("token").trim());
  await start();
}

function loginForm() {
  return h("main", { key: "login" }, h("form", { class: "card login", onsubmit: logIn },
    h("h1", null, "Gateway"),
    state.login.message ? h("p", { class: "failure", role: "alert" }, state.login.message) : null,
    field("Token", h("input", { name: "token", type: "password", required: true, autocomplete: "off", spellcheck: "false", created: (each) => each.focus() }),
      "It is kept for this tab, until it is closed."),
    h("div", { class: "actions" }, h("button", { class: "main" }, "Log in")),
    h("p", { class: "note" }, "Make one with ", h("code", null, "gateway admin token new NAME --role viewer"), ".")));
}

// -- what surrounds a screen

function draw() {
  const root = document.getElementById("app");
  if (state.login !== null && state.session === null) {
    document.title = "Log in – Gateway";
    render(root, loginForm());
    return;
  }
  const page = state.page;
  render(root,
    h("a", { class: "skip", href: "#main", key: "skip", onclick: skip }, "Skip to the content"),
    page === null ? null : topBar(page),
    h("div", { key: "said", role: "status", class: state.said ? "banner" : "hidden" }, state.said, state.said ? [" ", button("Close", () => say(""))] : null),
    state.lost === null ? null : h("div", { key: "lost", class: "banner", role: "alert" },
      `▲ The gateway has not responded since ${time(state.lost / 1000)}. `, page?.at ? "What is shown is older. " : "", "It is tried again."),
    page === null ? null : h("main", { key: `main ${page.place}`, id: "main", tabindex: "-1" }, screenNode(page)),
    dialogNode());
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function topBar(page) {
  const section = page.parts[0] ?? "overview";
  return h("header", { class: "top", key: "top" },
    h("span", { class: "name" }, "Gateway"),
    h("nav", { "aria-label": "Screens" }, h("ul", null, SECTIONS.map(([id, title]) => h("li", { key: id },
      h("a", { href: `#/${id}`, "aria-current": id === section ? (page.parts.length > 1 ? "true" : "page") : null }, title))))),
    h("div", { class: "right" },
      liveState(),
      button(state.paused ? "Go on" : "Pause", pause, { "aria-pressed": state.paused ? "true" : "false", "aria-label": "Pause live data" }),
      state.session && h("span", null, `${state.session.name} (${state.session.role})`),
      state.session?.how === "token" ? button("Log out", () => askForToken("")) : null,
      state.session?.how === "anonymous" ? button("Log in", () => askForToken("")) : null));
}

const LIVE = { live: ["good", "live"], connecting: ["off", "connecting"], waiting: ["warn", "no live data"], paused: ["off", "paused"], off: ["off", "no live data"] };

function liveState() {
  return badge(...LIVE[live.state]);
}

function pause() {
  state.paused = !state.paused;
  if (state.paused) stopLive("paused");
  else startLive();
  state.page?.screen?.paused?.(state.page);
  say(state.paused ? `Live data is paused since ${time(Date.now() / 1000)}.` : "");
  if (!state.paused) refresh();
}

function screenNode(page) {
  if (page.screen === null) return h("h1", { tabindex: "-1" }, "There is no such screen");
  const title = page.screen.title(page);
  document.title = `${title} – Gateway`;
  return [
    h("h1", { tabindex: "-1", key: "title" }, title),
    page.problem ? failure(page.problem) : null,
    page.data === null && page.screen.load ? (page.problem ? null : h("p", { class: "note" }, "Loading …")) : page.screen.view(page),
  ];
}

setDialogDraw(draw);
listen(onEvent, onRefused);
window.addEventListener("hashchange", () => state.session && navigate());
document.addEventListener("visibilitychange", () => !document.hidden && !state.paused && refresh());
start();
