// What has been: drills and their reports, and how each start recovered.

import { command, count, day, h, money, pill, replace, seconds, table } from "/draw.js";
import { ask } from "/app.js";

// --- drills

const STEP = { fault: "bad", begun: "", audited: "good" };

function timeline(drill) {
  const steps = drill.timeline.map((step) => h("tr", {}, h("td", { class: "mono right narrow" }, `${step.at_ms} ms`), h("td", { class: "narrow" }, pill(step.kind, STEP[step.kind] ?? "wait")), h("td", {}, step.what)));
  return h("details", {}, h("summary", {}, h("span", { class: "mono" }, drill.name), " ", drill.skipped ? pill(`skipped: ${drill.skipped}`, "warn") : pill(drill.ok ? "held" : "broken", drill.ok ? "good" : "bad"),
    h("span", { class: "muted" }, ` ${drill.victim}: ${drill.fault}`)),
    h("p", {}, `${drill.outcome || "no outcome"}; recovered after ${seconds(drill.recovered_ms / 1000)}, settled after ${seconds(drill.settled_ms / 1000)}.`),
    drill.problem ? h("p", { class: "error" }, drill.problem) : null, table([">After", "Kind", "What"], steps, "Nothing was noted."));
}

function report({ name, report: told }) {
  const list = told.drills || [];
  const good = list.filter((drill) => drill.ok).length;
  const title = [h("h2", {}, told.began_unix_ms ? day(told.began_unix_ms) : name, " ", pill(told.ok ? "every promise held" : "broken", told.ok ? "good" : "bad")),
    list.length ? h("p", { class: "muted" }, `${good} of ${list.length} held, in ${seconds(told.took_ms / 1000)}, version ${told.version}, seed ${told.seed}. Failures first.`) : null];
  const sorted = [...list].sort((a, b) => Number(a.ok) - Number(b.ok));
  return h("section", { class: "card" }, title, list.length ? sorted.map(timeline) : h("div", { class: "raw" }, JSON.stringify(told, null, 1)));
}

export const drills = {
  async draw(main) {
    const body = h("div", { class: "grid" });
    replace(main, h("h1", {}, "Drills"), h("p", { class: "muted" }, "Real processes, killed at named instants in homes of their own. Their reports are kept in drills/ of this home."),
      body, h("section", { class: "card grid" }, h("h2", {}, "Run them, and read the whole report"), command("strife drill run --all"), command("strife drill report")));
    let answer;
    try { answer = await ask("/api/drills"); } catch (problem) { replace(body, h("p", { class: "error" }, problem.message)); return; }
    replace(body, answer.reports.length ? answer.reports.map(report) : h("div", { class: "card empty" }, "No report has been left here."));
  },
};

// --- recoveries

function settled(one) {
  return h("tr", {}, h("td", {}, h("a", { class: "mono", href: `#/payment/${encodeURIComponent(one.payment)}` }, `${one.client_id}/${one.transaction_id}`)), h("td", { class: "right narrow" }, money(one.amount_minor, one.currency_code)),
    h("td", {}, one.outcome ? pill(one.outcome, one.outcome.startsWith("COMMITTED") || one.outcome === "POSTED" ? "good" : "bad") : pill("not known yet", "warn")),
    h("td", { class: "right narrow" }, one.settled_ms === null ? "open" : seconds(one.settled_ms / 1000)), h("td", {}, one.why));
}

function start(one) {
  const before = one.epoch === 1 ? "the first" : one.after_a_clean_stop ? "after a clean stop" : "after a crash";
  const tone = one.epoch === 1 || one.after_a_clean_stop ? "" : "warn";
  const torn = one.torn_bytes ? `, ${count(one.torn_bytes)} torn bytes set aside` : "";
  const head = h("summary", {}, h("b", {}, one.service), ` epoch ${one.epoch} `, pill(before, tone), " ", one.in_doubt.length ? pill(`${one.in_doubt.length} in doubt`, "wait") : null,
    h("span", { class: "muted" }, ` ${day(one.at_unix_ms)}: ${count(one.records)} records${torn}${one.took_ms === null ? "" : `, ${seconds(one.took_ms / 1000)}`}`));
  if (!one.in_doubt.length) return h("div", { class: "line" }, head.childNodes.length ? [...head.childNodes] : "");
  return h("details", { open: true }, head, table(["Payment", ">Amount", "Became", ">Settled after", "Why"], one.in_doubt.map(settled), ""));
}

export const recoveries = {
  async draw(main) {
    const body = h("section", { class: "card" });
    const ends = h("section", { class: "card grid" });
    replace(main, h("h1", {}, "Recoveries"), h("p", { class: "muted" }, "Every start is a recovery: what each service found in its log, and how what was in doubt ended."),
      body, ends, h("section", { class: "card grid" }, h("h2", {}, "The same at a terminal"), command("strife status --recoveries")));
    let told;
    try { told = await ask("/api/recoveries"); } catch (problem) { replace(body, h("p", { class: "error" }, problem.message)); return; }
    replace(body, h("h2", {}, "Starts"), told.starts.length ? told.starts.map(start) : h("div", { class: "empty" }, "No start is in the logs."),
      told.unread.length ? h("p", { class: "error" }, `Not all logs could be read: ${told.unread.join("; ")}`) : null);
    const rows = told.errors.map((one) => h("tr", {}, h("td", { class: "narrow" }, day(Date.parse(one.timestamp))), h("td", {}, h("b", {}, one.service)), h("td", {}, one.message)));
    replace(ends, h("h2", {}, "Why a service ended that did not mean to"), table(["When", "Service", "What it said"], rows, "None has said anything of the kind."));
  },
};
