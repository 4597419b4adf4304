// The logs, record by record: decoded, and as they lie in the file.

import { clock, command, h, replace, table, toPayment } from "/draw.js";
import { ask } from "/app.js";

const KINDS = ["Began", "Voted", "Decided", "Settled", "Ended", "Held", "Refused", "Posted", "Released", "Tombstoned", "Fenced", "BankMet", "Started", "BankStarted", "Stopped", "BankStopped", "AccountListed", "AccountOpened", "SessionOpened", "SessionClosed"];
const PAGE = 100;
// Records behind one that was asked for.
const BEHIND = 12;

function hexdump(hex) {
  const lines = [];
  for (let at = 0; at < hex.length; at += 32) {
    const bytes = hex.slice(at, at + 32).match(/../g) || [];
    const text = bytes.map((byte) => { const code = parseInt(byte, 16); return code > 31 && code < 127 ? String.fromCharCode(code) : "·"; }).join("");
    lines.push(`${(at / 2).toString(16).padStart(4, "0")}  ${bytes.slice(0, 8).join(" ").padEnd(23)}  ${bytes.slice(8).join(" ").padEnd(23)}  ${text}`);
  }
  return lines.join("\n");
}

const name = (row) => (row.transaction_id ? `${row.client_id}/${row.transaction_id}` : row.payment);

function opened(row) {
  const fact = (title, ...value) => [h("dt", {}, title), h("dd", {}, value)];
  return h("tr", { "data-open": "yes" }, h("td", { colspan: 6 }, h("dl", { class: "facts" },
    fact("CRC", h("span", { class: "tick" }, "✓ "), row.crc, ", over this record, seeded with its segment's salt"),
    fact("Batch", `records ${row.batch_lsn} to ${row.batch_lsn + row.batch_records - 1}, one sync, epoch ${row.epoch}`),
    fact("Place", `segment ${row.segment}, byte ${row.offset}, ${row.bytes} bytes with ${row.hex.length / 2} of payload`),
    row.payment ? fact("Payment", toPayment(row.payment, name(row))) : null),
    h("div", { class: "raw", tabindex: 0, role: "region", "aria-label": "the payload in hexadecimal" }, hexdump(row.hex))));
}

function line(row, wanted) {
  const button = h("button", { type: "button", class: "plain mono", "aria-expanded": "false", "aria-label": `Record ${row.lsn}, ${row.kind}`, "data-key": `record ${row.lsn}` }, row.lsn);
  const drawn = h("tr", { class: row.lsn === wanted ? "go here" : "go" }, h("td", { class: "right" }, button), h("td", { class: "mono narrow" }, clock(row.wall_ms)),
    h("td", { class: "narrow" }, h("b", {}, row.kind)), h("td", {}, row.words), h("td", {}, row.payment ? toPayment(row.payment, name(row)) : row.client_id || ""),
    h("td", { class: "mono narrow" }, h("span", { class: "tick", title: "its checksum holds" }, "✓ "), row.crc));
  const toggle = () => {
    const open = drawn.nextSibling && drawn.nextSibling.dataset.open;
    if (open) drawn.nextSibling.remove();
    else drawn.after(opened(row));
    button.setAttribute("aria-expanded", String(!open));
  };
  drawn.addEventListener("click", (event) => { if (!event.target.closest("a")) toggle(); });
  if (row.lsn === wanted) setTimeout(toggle, 0);
  return drawn;
}

export const log = {
  draw(main, now, where) {
    const change = () => this.read(null);
    const [which, lsn] = where.split("/");
    this.wanted = Number(lsn) || null;
    this.which = h("select", { id: "log-which", "aria-label": "Which log", onchange: change }, ["gateway", ...now.me.banks].map((it) => h("option", { value: it, selected: it === which }, it)));
    this.kind = h("select", { id: "log-kind", "aria-label": "Which kind", onchange: change }, h("option", { value: "" }, "every kind"), KINDS.map((it) => h("option", { value: it }, it)));
    this.text = h("input", { id: "log-text", type: "search", placeholder: "id, client or words", "aria-label": "Only records that contain", onchange: change });
    this.newer = h("button", { type: "button", onclick: () => this.read(null) }, "Newest");
    this.older = h("button", { type: "button", onclick: () => this.read(this.before) }, "Older");
    this.body = h("section", { class: "card" });
    this.same = h("section", { class: "card grid" });
    replace(main, h("div", { class: "bar" }, h("h1", {}, "Log"), this.which, this.kind, this.text, h("span", { class: "grow" }), this.newer, this.older), this.body, this.same);
    this.read(this.wanted && this.wanted + BEHIND);
  },
  async read(before) {
    const [which, kind, text] = [this.which.value, this.kind.value, this.text.value.trim()];
    const query = new URLSearchParams({ log: which, kind, text, limit: PAGE });
    if (before) query.set("before", before);
    let page;
    try { page = await ask(`/api/log?${query}`); } catch (problem) { replace(this.body, h("p", { class: "error" }, problem.message)); return; }
    this.before = page.before;
    this.older.disabled = !page.before;
    const rows = page.rows.reverse().map((row) => line(row, this.wanted));
    const none = page.before ? "None in the segments that were looked through: go on with Older." : "No record is like that.";
    replace(this.body, page.damage ? h("p", { class: "error" }, h("b", {}, "✗ "), page.damage) : null, table([">LSN", "Time", "Kind", "What became true", "Payment", "CRC"], rows, none));
    const filters = `${kind ? ` --kind ${kind}` : ""}${which === "gateway" ? "" : ` ${which}`}`;
    replace(this.same, h("h2", {}, "The same at a terminal"), command(`strife wal ls${filters} --last ${PAGE}`), command(`strife wal verify${which === "gateway" ? "" : ` ${which}`}`));
  },
};
