// One payment as a swim lane: whoever took part side by side, causes downward. What is drawn is what
// `strife tx explain` tells, and nothing is worked out here a second time.

import { clock, command, day, h, money, pill, replace, s, seconds, update } from "/draw.js";
import { ask } from "/app.js";

const HEAD = 40;
const ROW = { happened: 36, message: 26 };
const BOX = 164;
const LANE = 196;
const TIME = 74;

function tone(step) {
  if (step.commit_point) return step.words.includes("COMMIT") ? "good" : "bad";
  if (["Posted"].includes(step.kind)) return "good";
  if (["Released", "Refused", "Tombstoned"].includes(step.kind)) return "bad";
  if (["Started", "BankStarted", "Stopped", "BankStopped"].includes(step.kind)) return "warn";
  return ["Held", "Began", "Voted"].includes(step.kind) ? "wait" : "";
}

// Where every step stands: [{step, y}], and how high all of it is.
function layout(steps) {
  let y = HEAD;
  const placed = steps.map((step) => {
    const height = step.message ? ROW.message : ROW.happened;
    y += height;
    return { step, y: y - height / 2 };
  });
  return [placed, y + 14];
}

function swim(told, lanes) {
  const width = TIME + lanes.length * LANE;
  const [placed, height] = layout(told.steps);
  const middle = (lane) => TIME + lanes.indexOf(lane) * LANE + LANE / 2;
  const parts = [s("defs", {}, s("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, s("path", { class: "tip", d: "M0 0L8 4L0 8Z" })))];
  for (const lane of lanes) {
    parts.push(s("text", { class: "head", x: middle(lane), y: 22, "text-anchor": "middle" }, lane), s("line", { class: "life", x1: middle(lane), x2: middle(lane), y1: 32, y2: height - 4 }));
  }
  // A bank that has promised and does not know: from its hold to its outcome.
  for (const window of told.uncertainty) {
    const from = placed.find(({ step }) => step.at === window.bank && step.kind === "Held");
    const to = placed.find(({ step, y }) => step.at === window.bank && from && y > from.y && (step.kind === "Posted" || step.kind === "Released"));
    if (from) parts.push(s("rect", { class: "window", x: middle(window.bank) - 7, width: 14, y: from.y, height: (to ? to.y : height - 4) - from.y },
      s("title", {}, `${window.bank} has promised and does not know the outcome${window.uncertain_ms === null ? "" : `: ${window.uncertain_ms} ms`}`)));
  }
  const first = told.steps.find((step) => step.wall_ms);
  for (const { step, y } of placed) {
    if (step.message) {
      const [x1, x2] = [middle(step.from), middle(step.to)];
      const side = x1 < x2 ? 1 : -1;
      parts.push(s("line", { class: "message", x1: x1 + side * 8, x2: x2 - side * 8, y1: y, y2: y, "marker-end": "url(#tip)" }),
        s("text", { class: "word", x: x1 + side * 14, y: y - 4, "text-anchor": side > 0 ? "start" : "end" }, step.message));
      continue;
    }
    const x = middle(step.at);
    if (step.commit_point) parts.push(s("line", { class: "final", x1: TIME - 4, x2: width, y1: y, y2: y }));
    const long = step.words.length > 19 ? `${step.words.slice(0, 18)}…` : step.words;
    parts.push(
      s("text", { class: "time", x: 2, y: y + 4 }, step === first ? clock(step.wall_ms).slice(0, 8) : `+${seconds((step.wall_ms - first.wall_ms) / 1000)}`),
      s("rect", { class: `box ${tone(step)}`, x: x - BOX / 2, y: y - 14, width: BOX, height: 28, rx: 8 }, s("title", {}, `${step.words}, record ${step.lsn} of ${step.at}${step.forced ? ", synced before it went on" : ""}`)),
      s("text", { x: x - BOX / 2 + 10, y: y + 4.5 }, long),
      s("text", { class: "lsn", x: x + BOX / 2 - 9, y: y + 4, "text-anchor": "end" }, `${step.lsn}${step.forced ? " ●" : ""}`));
  }
  return s("svg", { class: "swim", viewBox: `0 0 ${width} ${height}`, width, role: "img", "aria-label": `${told.steps.length} steps of ${lanes.join(", ")}; the table below says the same` }, parts);
}

function outcome(told) {
  if (told.state === "PENDING") return pill("not decided", "warn");
  if (told.state === "ABORTED") return pill(`aborted: ${told.reason}`, "bad");
  return told.ended ? pill("committed", "good") : pill("committed, not settled everywhere", "warn");
}

const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];

function facts(told) {
  const happened = told.steps.filter((step) => step.kind);
  const [first, last] = [happened[0], happened.at(-1)];
  const banks = told.uncertainty.map((window) => `${window.bank} ${window.uncertain_ms === null ? "still" : seconds(window.uncertain_ms / 1000)}`).join(", ");
  return h("div", { class: "grid halves" },
    h("section", { class: "card" }, h("dl", { class: "facts" },
      fact("Amount", told.amount_minor === null ? "not known" : money(told.amount_minor, told.currency_code)), fact("From, to", `${told.payer_account_number} → ${told.recipient_account_number}`),
      fact("Global id", told.payment), fact("Fixed by", told.lsn ? `record ${told.lsn} of the gateway` : "nothing yet"))),
    h("section", { class: "card" }, h("dl", { class: "facts" },
      fact("Began", first ? day(first.wall_ms) : ""), fact("Took", told.ended ? seconds((last.wall_ms - first.wall_ms) / 1000) : "not over"),
      fact("In doubt at", banks || "no bank"), fact("Restarts, retries", `${told.restarts.length}, ${told.retries}`))));
}

function records(told) {
  const rows = told.steps.filter((step) => step.kind).map((step) => h("tr", {}, h("td", { class: "mono narrow" }, clock(step.wall_ms)), h("td", { class: "narrow" }, step.at),
    h("td", { class: "mono right" }, h("a", { href: `#/log/${step.at}/${step.lsn}` }, step.lsn)), h("td", { class: "narrow" }, pill(step.words, tone(step))),
    h("td", { class: "muted" }, step.commit_point ? "from here on it is final" : step.forced ? "synced before it went on" : "")));
  const head = ["Time", "Log", ">LSN", "What", "How"].map((cell) => h("th", { scope: "col", class: cell[0] === ">" ? "right" : "" }, cell.replace(">", "")));
  return h("section", { class: "card" }, h("h2", {}, "Records"), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Records" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows))));
}

let asked = 0;
let shown = null;

async function load(main, id) {
  const mine = ++asked;
  let told;
  try { told = await ask(`/api/payment?id=${encodeURIComponent(id)}`); }
  catch (problem) {
    if (mine === asked && !shown) replace(main, h("h1", {}, "Payment"), h("div", { class: "card empty" }, h("p", {}, problem.message), problem.todo ? h("p", { class: "muted" }, problem.todo) : null));
    return;
  }
  if (mine !== asked) return;
  shown = { over: told.ended };
  const name = told.transaction_id ? `${told.client_id}/${told.transaction_id}` : told.payment;
  update(main,
    h("div", { class: "bar" }, h("h1", {}, "Payment ", h("span", { class: "mono" }, name)), outcome(told)),
    told.remarks.length ? h("div", { class: "card note" }, told.remarks.map((remark) => h("p", {}, remark))) : null,
    facts(told),
    h("section", { class: "card grid" }, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Swim lanes" }, swim(told, told.lanes)),
      h("p", { class: "muted small" }, "● synced before the service went on. The number is the record's, its LSN. The strip is the time in which a bank had promised and did not know.")),
    h("section", { class: "card grid" }, h("h2", {}, "The same at a terminal"), command(`strife tx explain ${name}`)),
    records(told),
    told.unread.length ? h("p", { class: "error" }, `Not all logs could be read: ${told.unread.join("; ")}`) : null);
}

export const payment = {
  draw(main, state, id) {
    shown = null;
    this.main = main;
    this.id = id;
    replace(main, h("h1", {}, "Payment"), h("p", { class: "muted" }, "Reading the logs…"));
    load(main, id);
  },
  news(fresh) {
    if (shown && !shown.over && fresh.some((record) => record.payment && record.kind !== "Began")) load(this.main, this.id);
  },
  update() { if (shown && !shown.over) load(this.main, this.id); },
  leave() { asked += 1; shown = null; },
};
