// Who looks, what is shown, and the log as it grows. A view is {title, draw(main, state), ...}; it
// is drawn anew when the address changes and told of news by `update`.

import { h, replace, update } from "/draw.js";
import { live } from "/live.js";
import { log } from "/log.js";
import { drills, recoveries } from "/past.js";
import { banks, doubt, overview } from "/views.js";
import { payment } from "/payment.js";

const POLL_MS = 1000;
const HISTORY = 120;
const RECORDS_KEPT = 3000;
const TOOK_KEPT = 20000;

export const state = {
  me: null, now: null, problem: null, history: [], records: [], took: [], lsn: 0, connected: false, paused: false, since: null,
};

const VIEWS = { "": overview, live, doubt, banks, log, drills, recoveries, payment };
const NAV = [["", "Overview", "o"], ["live", "Live", "l"], ["doubt", "In doubt", "d"], ["banks", "Banks", "b"], ["log", "Log", "w"], ["drills", "Drills", "r"], ["recoveries", "Recoveries", "v"]];
const KEYS = [["/", "Find a payment"], ...NAV.map(([, name, key]) => [`g ${key}`, name]), ["p", "Hold the live view, and let it go"], ["t", "Light or dark"], ["?", "These keys"]];

const at = (id) => document.getElementById(id);
let current = null;
let polling = null;
let source = null;

export async function ask(path, options) {
  const answer = await fetch(path, { credentials: "same-origin", ...options });
  if (answer.status === 401) { leave(); throw new Error("signed out"); }
  const kind = answer.headers.get("content-type") || "";
  const body = kind.includes("json") ? await answer.json() : { error: await answer.text() };
  if (!answer.ok) throw Object.assign(new Error(body.error || `${answer.status}`), { todo: body.todo });
  return body;
}

const post = (path, body) => fetch(path, { method: "POST", credentials: "same-origin", headers: { "content-type": "application/json" }, body: JSON.stringify(body || {}) });

// --- signing in and out

async function enter() {
  state.me = await ask("/api/me");
  if (!state.me) { leave(); return; }
  at("door").hidden = true;
  at("app").hidden = false;
  follow();
  route();
  poll();
}

function leave() {
  state.me = null;
  clearTimeout(polling);
  if (source) { source.close(); source = null; }
  at("app").hidden = true;
  at("door").hidden = false;
  at("password").value = "";
  at("username").focus();
}

at("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const error = at("sign-in-error");
  error.textContent = "";
  try {
    const answer = await post("/api/sign-in", { username: at("username").value, password: at("password").value });
    if (!answer.ok) {
      const kind = answer.headers.get("content-type") || "";
      error.textContent = kind.includes("json") ? (await answer.json()).error : await answer.text();
      at("password").select();
      return;
    }
    await enter();
  } catch (problem) {
    error.textContent = `The console does not answer: ${problem.message}`;
  }
});

at("sign-out").addEventListener("click", async () => { await post("/api/sign-out"); leave(); });

// --- news

async function poll() {
  clearTimeout(polling);
  try {
    const now = await ask("/api/overview");
    state.now = now;
    state.problem = now.problem;
    remember(now);
  } catch (problem) {
    if (!state.me) return;
    state.problem = problem.message;
  }
  say();
  if (current && current.update) current.update(state);
  if (state.me) polling = setTimeout(poll, POLL_MS);
}

// Differences of counters between two looks, as rates.
function remember(now) {
  if (!now.gateway) return;
  const last = state.history.at(-1);
  const restarted = last && last.raw[COMMITTED] > now.gateway[COMMITTED];
  state.history.push({ at: now.at_ms, raw: now.gateway, since: restarted ? null : last });
  if (state.history.length > HISTORY + 1) state.history.shift();
  for (const kept of state.history.slice(0, -1)) if (kept.since && kept.since.since) kept.since = { at: kept.since.at, raw: kept.since.raw };
}
export const COMMITTED = 'strife_payments_total{outcome="committed"}';

// How long payments took by the log, for those that no call of their own is timed by: a file of them.
const began = new Map();
function time(fresh) {
  const until = state.now && state.now.status && state.now.status.ack === "decided" ? "Decided" : "Ended";
  for (const record of fresh) {
    if (record.kind === "Began") began.set(record.payment, record.wall_ms);
    else if (record.kind === until && began.has(record.payment)) {
      state.took.push({ at: record.wall_ms, ms: record.wall_ms - began.get(record.payment) });
      began.delete(record.payment);
    }
  }
  if (state.took.length > TOOK_KEPT) state.took.splice(0, state.took.length - TOOK_KEPT);
  for (const id of began.keys()) { if (began.size <= TOOK_KEPT) break; began.delete(id); }
}

function say() {
  const banner = at("banner");
  if (state.problem) {
    state.since = state.since || Date.now();
    banner.textContent = `The gateway does not answer (for ${Math.round((Date.now() - state.since) / 1000)} s): ${state.problem}. What was decided is in its log and is settled when it is back.`;
  } else state.since = null;
  banner.hidden = !state.problem;
  const link = at("link");
  link.className = `link ${state.paused ? "paused" : state.connected ? "on" : "off"}`;
  update(link, h("span", {}, state.paused ? "held" : state.connected ? `record ${state.lsn}` : "reconnecting"));
  const late = ((state.now && state.now.in_doubt) || []).filter((one) => one.age_ms > state.me.settle_wait_ms).length;
  const badge = at("nav").querySelector('[data-view="doubt"] .count');
  badge.hidden = !late;
  badge.textContent = late;
  document.title = late ? `(${late}) Strife` : "Strife";
}

function follow() {
  if (source) source.close();
  const from = state.lsn ? `?after=${state.lsn}` : "";
  source = new EventSource(`/api/events${from}`);
  source.addEventListener("hello", () => { state.connected = true; say(); });
  source.addEventListener("records", (event) => {
    state.connected = true;
    const fresh = JSON.parse(event.data).filter((record) => record.lsn > state.lsn);
    if (!fresh.length) return;
    state.lsn = fresh.at(-1).lsn;
    state.records.push(...fresh);
    time(fresh);
    if (state.records.length > RECORDS_KEPT) state.records.splice(0, state.records.length - RECORDS_KEPT);
    if (current && current.news) current.news(fresh, state);
    say();
  });
  source.onerror = () => {
    state.connected = false;
    say();
    // A browser gives a stream up when it is answered with an error: we do not.
    if (source && source.readyState === EventSource.CLOSED && state.me) setTimeout(() => state.me && follow(), 1000);
  };
}

// --- views

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const view = VIEWS[name] || overview;
  if (current && current.leave) current.leave();
  current = view;
  for (const link of at("nav").children) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const main = at("main");
  replace(main);
  view.draw(main, state, decodeURIComponent(rest.join("/")));
}

export const show = (id) => { location.hash = `#/payment/${encodeURIComponent(id)}`; };

replace(at("nav"), NAV.map(([name, title, key]) => h("a", { href: `#/${name}`, "data-view": name }, title,
  name === "doubt" ? h("span", { class: "count", hidden: true }) : null, h("kbd", { "aria-hidden": "true" }, `g ${key}`))));
replace(at("keys"), KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]));
window.addEventListener("hashchange", () => { if (state.me) { route(); at("main").focus({ preventScroll: true }); window.scrollTo(0, 0); } });

at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("search-text").value.trim();
  if (text) show(text);
});

// --- keys and theme

function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
}
if (localStorage.getItem("theme")) document.documentElement.dataset.theme = localStorage.getItem("theme");
at("theme").addEventListener("click", theme);
at("help-button").addEventListener("click", () => at("help").showModal());

let going = false;
window.addEventListener("keydown", (event) => {
  if (!state.me || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape" && typing) { event.target.blur(); return; }
  if (typing || at("help").open) return;
  if (going) {
    going = false;
    const found = NAV.find(([, , key]) => key === event.key);
    if (found) { location.hash = `#/${found[0]}`; event.preventDefault(); }
    return;
  }
  if (event.key === "g") { going = true; setTimeout(() => { going = false; }, 1200); }
  else if (event.key === "/") { at("search-text").focus(); at("search-text").select(); event.preventDefault(); }
  else if (event.key === "?") at("help").showModal();
  else if (event.key === "t") theme();
  else if (event.key === "p") { state.paused = !state.paused; if (!state.paused && current.resume) current.resume(state); say(); }
});

enter().catch((problem) => { if (problem.message !== "signed out") { leave(); at("sign-in-error").textContent = problem.message; } });
