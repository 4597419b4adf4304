// Payments as they move: a lane each, from BEGAN over PREPARED and DECIDED to SETTLED.

import { h, money, replace, seconds } from "/draw.js";
import { show, state } from "/app.js";

const LANES = 18;
const LINGER_MS = 6000;
const STOPS = ["BEGAN", "PREPARED", "DECIDED", "SETTLED"];

let payments = new Map();
let body = null;
let counts = null;
let timer = null;
let hidden = 0;

// What a record means for its payment.
function learn(record) {
  if (!record.payment) return null;
  if (record.kind === "Began") {
    const one = { id: record.payment, reference: record.reference, amount: record.amount_minor, currency: record.currency_code, from: record.payer_bank, to: record.recipient_bank, began: record.wall_ms, lsn: record.lsn, votes: new Set(), settled: new Set(), stop: 0, half: false, over: null };
    payments.set(record.payment, one);
    return one;
  }
  const one = payments.get(record.payment);
  if (!one) return null;
  const parties = one.from === one.to ? 1 : 2;
  if (record.kind === "Voted" && record.vote === "READY") {
    one.votes.add(record.bank);
    if (one.votes.size === parties) one.stop = Math.max(one.stop, 1);
  } else if (record.kind === "Decided") {
    one.stop = 2;
    one.abort = record.decision === "ABORT";
    one.reason = record.reason;
    one.decided = record.wall_ms;
  } else if (record.kind === "Settled") {
    one.settled.add(record.bank);
  } else if (record.kind === "Ended") {
    one.stop = 3;
    one.over = record.wall_ms;
    one.gone = Date.now() + LINGER_MS;
  }
  one.last = record.wall_ms;
  return one;
}

function lane(one) {
  const stops = STOPS.map(() => h("span", { class: "stop" }));
  const parts = { done: h("span", { class: "done" }), stops, token: h("span", { class: "token" }), took: h("span", { class: "took" }), said: h("span", { class: "unseen" }) };
  parts.element = h("a", { class: "lane", href: `#/payment/${encodeURIComponent(one.id)}`, "data-payment": one.reference },
    h("span", { class: "id", title: one.reference }, one.reference),
    h("span", { class: "route" }, h("b", {}, money(one.amount, one.currency)), ` ${one.from} → ${one.to}`),
    h("span", { class: "track" }, parts.done, stops, parts.token), parts.took, parts.said);
  return parts;
}

function move(one) {
  const { element, done, stops, token, took, said: told } = one.parts;
  const late = !one.over && Date.now() - one.began > state.me.settle_wait_ms;
  element.className = `lane${one.abort ? " abort" : ""}${late ? " late" : ""}${one.over ? " over leaving" : ""}`;
  stops.forEach((stop, at) => {
    const half = (at === 1 && one.stop === 0 && one.votes.size === 1) || (at === 3 && one.stop === 2 && one.settled.size === 1);
    // An abort skips the votes that it did not get.
    const hit = at <= one.stop && !(at === 1 && one.abort && one.votes.size < 2 && one.from !== one.to);
    stop.className = `stop${hit ? " hit" : half ? " half" : ""}`;
  });
  done.style.width = `${one.stop * 25}%`;
  token.style.left = `${12.5 + one.stop * 25}%`;
  const age = ((one.over || Date.now()) - one.began) / 1000;
  took.textContent = one.over ? seconds(age) : late ? `${seconds(age)}…` : "";
  const waits = [one.from, one.to].filter((bank) => (one.stop < 2 ? !one.votes.has(bank) : !one.settled.has(bank)));
  const said = one.abort ? `aborted: ${one.reason}` : STOPS[one.stop].toLowerCase();
  const waiting = late ? `waits for ${[...new Set(waits)].join(" and ")}` : "";
  told.textContent = `${said}${late ? `, ${waiting}` : ""}`;
  element.title = waiting || said;
}

function refresh() {
  if (!body || state.paused) return;
  const now = Date.now();
  for (const [id, one] of payments) {
    if (one.over && one.gone < now) {
      if (one.parts) one.parts.element.remove();
      payments.delete(id);
    }
  }
  const shown = [...payments.values()].filter((one) => one.parts);
  const waiting = [...payments.values()].filter((one) => !one.parts).reverse();
  // What is not over has the first right to a lane; then the newest.
  for (const one of [...waiting.filter((it) => !it.over), ...waiting.filter((it) => it.over)]) {
    if (shown.length >= LANES) {
      const leaving = shown.findIndex((it) => it.over);
      if (leaving < 0) break;
      const [gone] = shown.splice(leaving, 1);
      gone.parts.element.remove();
      payments.delete(gone.id);
    }
    one.parts = lane(one);
    body.prepend(one.parts.element);
    shown.push(one);
  }
  shown.forEach(move);
  hidden = [...payments.values()].filter((one) => !one.parts).length;
  const open = [...payments.values()].filter((one) => !one.over).length;
  replace(counts, h("span", { class: "muted" }, `${open} on the way`, hidden ? `, ${hidden} not shown` : ""));
  body.classList.toggle("none", !shown.length);
  body.parentElement.querySelector(".empty").hidden = shown.length > 0;
}

export const live = {
  draw(main, now) {
    payments = new Map();
    counts = h("span", { role: "status", "aria-live": "off" });
    body = h("div", { class: "lanes", id: "lanes" });
    const head = h("div", { class: "lane-head", "aria-hidden": "true" }, h("span", {}, "Payment"), h("span", {}, "Amount and way"),
      h("span", { class: "stops" }, STOPS.map((stop) => h("span", {}, stop))), h("span", {}));
    replace(main, h("div", { class: "bar" }, h("h1", {}, "Live"), counts, h("span", { class: "grow" }), h("span", { class: "muted" }, h("kbd", {}, "p"), " holds it")),
      head, body, h("div", { class: "empty card" }, "Nothing moves. Pay something: strife transfer 250 10000000000002"));
    for (const record of now.records) learn(record);
    // Of the past only what is not over, and a little of what was last.
    const over = [...payments.values()].filter((one) => one.over);
    for (const one of over.slice(0, -10)) payments.delete(one.id);
    timer = setInterval(refresh, 250);
    refresh();
  },
  news(fresh) {
    for (const record of fresh) {
      const one = learn(record);
      if (one && one.parts && !state.paused) move(one);
    }
    refresh();
  },
  resume: refresh,
  leave() { clearInterval(timer); body = null; },
};
