// How things stand: overview, what is in doubt, the banks.

import { chart, command, count, h, legend, money, pill, rate, replace, seconds, table, tile, toPayment, update } from "/draw.js";
import { ask, COMMITTED, state } from "/app.js";

const ABORTED = 'strife_payments_total{outcome="aborted"}';

// Sums of figures whose name begins so.
const sum = (figures, name) => Object.entries(figures).filter(([key]) => key.startsWith(name)).reduce((all, [, value]) => all + value, 0);

// Of the last seconds: how much a counter has grown, each.
function rates(history, name) {
  return history.slice(1).map((now) => (now.since ? Math.max(0, ((now.raw[name] || 0) - (now.since.raw[name] || 0)) / ((now.at - now.since.at) / 1000)) : NaN));
}

// A quantile of a histogram between two looks, by its buckets.
function quantile(now, before, name, share) {
  const prefix = `${name}_bucket{grpc_service="strife.v1.PaymentGateway",grpc_method="ProcessPayment",le="`;
  const buckets = Object.keys(now).filter((key) => key.startsWith(prefix)).map((key) => {
    const bound = key.slice(prefix.length, -2);
    return [bound === "+Inf" ? Infinity : Number(bound), now[key] - ((before && before[key]) || 0)];
  }).sort((a, b) => a[0] - b[0]);
  const all = buckets.length ? buckets.at(-1)[1] : 0;
  if (all <= 0) return NaN;
  let [low, under] = [0, 0];
  for (const [bound, below] of buckets) {
    if (below >= share * all) return isFinite(bound) ? low + (bound - low) * ((share * all - under) / Math.max(1e-9, below - under)) : low;
    [low, under] = [bound, below];
  }
  return low;
}

// By the calls that were timed in the last seconds; where there were none, by the log.
function quantiles(history, took, share) {
  return history.slice(1).map((now, at) => {
    const timed = quantile(now.raw, history[Math.max(0, at - 4)].raw, "grpc_server_handling_seconds", share);
    if (isFinite(timed)) return timed;
    const some = took.filter((one) => one.at > now.at - 5000 && one.at <= now.at).map((one) => one.ms).sort((a, b) => a - b);
    return some.length ? some[Math.min(some.length - 1, Math.floor(share * some.length))] / 1000 : NaN;
  });
}

const lately = (list) => (state.me ? list.filter((one) => one.age_ms > state.me.settle_wait_ms) : list);

function openRows(list, chosen) {
  const asking = (one) => chosen && h("td", {}, h("button", { type: "button", "data-key": `why ${one.payment}`, "aria-expanded": String(chosen.id === one.payment), onclick: () => chosen.toggle(one.payment) }, "Evidence"));
  return list.map((one) => h("tr", {}, h("td", {}, toPayment(one.payment, one.reference)), h("td", { class: "right narrow" }, money(one.amount_minor, one.currency)),
    h("td", {}, pill(one.phase, one.phase === "ABORTING" ? "bad" : "warn")), h("td", {}, one.waiting_for.join(", ")), h("td", { class: "right narrow" }, seconds(one.age_ms / 1000)), asking(one)));
}
const OPEN = ["Payment", ">Amount", "Phase", "Waits for", ">Age"];

// --- overview

export const overview = {
  draw(main, now) {
    this.parts = { tiles: h("div", { class: "grid tiles" }), speed: h("div"), wait: h("div"), aborts: h("div"), open: h("div") };
    replace(main, h("h1", {}, "Overview"), this.parts.tiles,
      h("div", { class: "grid halves" },
        h("section", { class: "card" }, h("h2", {}, "Payments a second"), this.parts.speed, legend("committed", "aborted")),
        h("section", { class: "card" }, h("h2", {}, "How long a payer waits"), this.parts.wait, legend("median", "99th percentile"))),
      h("div", { class: "grid halves" },
        h("section", { class: "card" }, h("h2", {}, "Aborted, by reason"), this.parts.aborts),
        h("section", { class: "card" }, h("h2", {}, "Not over yet"), this.parts.open)));
    this.update(now);
  },
  update(now) {
    if (!now.now) return;
    const { gateway, status, in_doubt } = now.now;
    const parts = this.parts;
    const history = now.history;
    const figures = gateway || {};
    const of = (name) => figures[name];
    const speed = rates(history, COMMITTED);
    const recent = speed.slice(-5).filter((value) => isFinite(value));
    const mean = recent.length ? recent.reduce((a, b) => a + b, 0) / recent.length : 0;
    const median = quantiles(history, now.took, 0.5);
    const slow = quantiles(history, now.took, 0.99);
    const known = (list) => list.findLast((value) => isFinite(value));
    const delta = of("strife_money_delta_minor") || 0;
    const late = of("strife_in_doubt") || 0;
    const banks = (status && status.banks) || [];
    const up = banks.filter((bank) => bank.state === "ready").length;
    const away = banks.filter((bank) => bank.state !== "ready").map((bank) => bank.bank);
    const lag = status ? status.durable_lsn - status.mirror_lsn : 0;
    update(parts.tiles,
      tile({ name: "Payments a second", value: rate(mean), note: `${count(of(COMMITTED))} committed since the start`, href: "#/live" }),
      tile({ name: "Median, 99th percentile", value: seconds(known(median)), note: `99 of 100 within ${seconds(known(slow))}` }),
      tile({ name: "Aborted", value: count(of(ABORTED)), note: "since the start" }),
      tile({ name: "In doubt", value: count(late), tone: late ? "bad" : "good", href: "#/doubt",
        note: late ? `${money(of("strife_in_doubt_amount_minor"))}, oldest ${seconds(of("strife_in_doubt_oldest_seconds"))}` : `${count(of("strife_payments_inflight"))} in flight` }),
      tile({ name: "Money delta", value: money(delta), tone: delta ? "bad" : "good", note: delta ? "run: strife audit" : "nothing made, nothing lost" }),
      tile({ name: "Banks up", value: status ? `${up} of ${banks.length}` : "–", tone: away.length ? "bad" : "good", note: away.length ? `away: ${away.join(", ")}` : "all are driven", href: "#/banks" }),
      tile({ name: "Log", value: status ? count(status.durable_lsn) : "–", note: status ? (lag > 0 ? `view ${count(lag)} behind` : "view is level") : "", href: "#/log" }),
      tile({ name: "Last recovery", value: seconds(of("strife_recovery_seconds")), note: status ? `start ${status.epoch}, up ${seconds(status.uptime_ms / 1000)}, ${count(sum(figures, "strife_recovery_resolved_total"))} resolved` : "", href: "#/recoveries" }));
    update(parts.speed, chart([speed, rates(history, ABORTED)], { format: rate, area: true, wide: parts.speed.clientWidth, label: "committed and aborted payments a second" }));
    update(parts.wait, chart([median, slow], { format: seconds, wide: parts.wait.clientWidth, label: "median and 99th percentile of a payment's time" }));
    const reasons = Object.entries(figures).filter(([key, value]) => key.startsWith("strife_aborts_total{") && value > 0)
      .map(([key, value]) => [key.match(/reason="([^"]*)"/)[1], value]).sort((a, b) => b[1] - a[1]);
    update(parts.aborts, table(["Reason", ">Payments"], reasons.map(([reason, value]) => h("tr", {}, h("td", {}, pill(reason, "bad")), h("td", { class: "right" }, count(value)))), "None since the start."));
    const open = lately(in_doubt || []);
    update(parts.open, table(OPEN, openRows(open.slice(0, 6)), "Everything that was begun is over."));
  },
};

// --- in doubt

function evidence({ found, over }) {
  const rows = found.evidence.map((one) => h("tr", {}, h("td", {}, h("b", {}, one.bank)), h("td", {}, one.state ? pill(one.state, one.state === "POSTED" ? "good" : one.state === "HELD" ? "wait" : "") : pill("not read", "bad")),
    h("td", { class: "mono right" }, one.lsn || ""), h("td", {}, pill(one.up ? "runs" : "down", one.up ? "good" : "bad")), h("td", {}, one.problem)));
  return [h("h2", {}, "What the logs say of ", h("span", { class: "mono" }, `${found.client_id}/${found.transaction_id}`)),
    table(["Bank", "State", ">LSN", "Process", ""], rows, "No bank takes part."),
    h("dl", { class: "facts" }, h("dt", {}, "Decision"), h("dd", {}, over ? "over on all sides" : found.decision ? `${found.decision}, by record ${found.lsn}` : "none yet"),
      h("dt", {}, "Set aside"), h("dd", {}, money(found.held_minor, found.currency_code)), h("dt", {}, "Safe is"), h("dd", {}, found.safe), h("dt", {}, "Choices"), h("dd", {}, found.choices.map((it) => `${it.choice}: ${money(it.at_risk_minor, found.currency_code)} at risk, ${it.why}`).join("; "))),
    found.next.map((step) => command(step)), command(`strife tx resolve ${found.client_id}/${found.transaction_id}`)];
}

export const doubt = {
  id: null,
  draw(main, now) {
    this.body = h("div");
    this.more = h("section", { class: "card grid", hidden: true, id: "evidence" });
    replace(main, h("div", { class: "bar" }, h("h1", {}, "In doubt")),
      h("p", { class: "muted" }, "Payments that are not over and should be. Nothing is lost by it: their money is set aside, and each ends by itself once its bank answers."),
      this.body, this.more, h("section", { class: "card grid" }, h("h2", {}, "The same at a terminal"), command("strife tx in-doubt"), command("strife audit --online")));
    this.id = null;
    this.update(now);
    this.timer = setInterval(() => this.read(), 3000);
  },
  toggle(id) {
    this.id = this.id === id ? null : id;
    this.more.hidden = !this.id;
    replace(this.more, h("p", { class: "muted" }, "Reading the logs…"));
    this.update(state);
    this.read();
  },
  async read() {
    const id = this.id;
    if (!id) return;
    let told;
    try { told = evidence(await ask(`/api/evidence?id=${encodeURIComponent(id)}`)); } catch (problem) { told = [h("p", { class: "error" }, problem.message)]; }
    if (id === this.id && this.more.isConnected) update(this.more, told);
  },
  update(now) {
    if (!now.now) return;
    const list = lately(now.now.in_doubt || []);
    const total = list.reduce((all, one) => all + one.amount_minor, 0);
    update(this.body, h("section", { class: "card grid", id: "in-doubt" },
      list.length ? h("div", {}, pill(`${list.length} payment${list.length > 1 ? "s" : ""}`, "bad"), " ", h("span", { class: "muted" }, `${money(total)} set aside`)) : null,
      table([...OPEN, ""], openRows(list, this), "Nothing is in doubt.")));
  },
  leave() { clearInterval(this.timer); this.id = null; },
};

// --- banks

export const banks = {
  draw(main, now) {
    this.body = h("div", { class: "grid" });
    this.holds = h("section", { class: "card" }, h("h2", {}, "Holds without an outcome"), h("p", { class: "muted" }, "Reading the journals…"));
    replace(main, h("h1", {}, "Banks"), this.body, this.holds);
    this.update(now);
    this.read();
    this.timer = setInterval(() => this.read(), 2000);
  },
  update(now) {
    if (!now.now) return;
    const seen = Object.fromEntries(((now.now.status && now.now.status.banks) || []).map((bank) => [bank.bank, bank]));
    const rows = now.me.banks.map((name) => {
      const [bank, figures] = [seen[name] || {}, now.now.banks[name]];
      const ready = bank.state === "ready";
      const synced = figures && figures.strife_wal_fsync_seconds_count ? figures.strife_wal_fsync_seconds_sum / figures.strife_wal_fsync_seconds_count : NaN;
      return h("tr", { "data-bank": name }, h("td", {}, h("a", { href: `#/log/${name}` }, name)), h("td", {}, pill(ready ? "driven" : bank.state || "not seen", ready ? "good" : "bad")),
        h("td", { class: "right" }, count(figures && figures[`strife_bank_holds{bank="${name}"}`])), h("td", { class: "right" }, count(bank.waiting)),
        h("td", { class: "right" }, figures ? count(figures.strife_wal_last_lsn) : "–"), h("td", { class: "right narrow" }, seconds(synced)),
        h("td", { class: "mono narrow" }, bank.address || ""), h("td", {}, ready ? "" : bank.problem || (figures ? "" : "its process does not answer")));
    });
    update(this.body, h("section", { class: "card" }, table(["Bank", "State", ">Holds", ">Owes answers", ">Record", ">A sync", "Address", ""], rows, "No bank has joined.")));
  },
  async read() {
    let answer;
    try { answer = await ask("/api/holds"); } catch { return; }
    if (!this.holds.isConnected) return;
    const rows = answer.holds.map((hold) => h("tr", {}, h("td", {}, hold.bank), h("td", {}, toPayment(hold.payment, hold.reference)), h("td", { class: "right narrow" }, money(hold.amount_minor, hold.currency_code)),
      h("td", { class: "narrow" }, `${hold.payer_bank} → ${hold.recipient_bank}`), h("td", { class: "mono right" }, h("a", { href: `#/log/${hold.bank}/${hold.lsn}` }, hold.lsn)), h("td", { class: "right narrow" }, seconds((Date.now() - hold.wall_ms) / 1000))));
    update(this.holds, h("h2", {}, "Holds without an outcome"), table(["Bank", "Payment", ">Amount", "Way", ">LSN", ">Age"], rows, "No bank holds anything."),
      answer.problems.length ? h("p", { class: "error" }, answer.problems.join("; ")) : null);
  },
  leave() { clearInterval(this.timer); },
};
