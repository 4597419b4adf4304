// Elements, numbers and charts. Text is always put in as text: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children.flat(2)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const kept = (children) => children.flat(2).filter((child) => child !== null && child !== undefined && child !== false);

export function replace(parent, ...children) { parent.replaceChildren(...kept(children)); }

// Draws anew what may have changed, and leaves every element where it is that has not: whoever stands on
// a button, or is pressing it, stays there. What listens has a key, and is another with another key.
export function update(parent, ...children) {
  const fresh = kept(children);
  const old = [...parent.childNodes];
  fresh.forEach((node, at) => {
    const was = old[at];
    if (!was) parent.append(node);
    else if (was.nodeName === node.nodeName && key(was) === key(node)) morph(was, node);
    else was.replaceWith(node);
  });
  old.slice(fresh.length).forEach((node) => node.remove());
}

const key = (node) => (node.getAttribute ? node.getAttribute("href") || node.getAttribute("data-key") : null);

function morph(was, node) {
  if (!was.attributes) { if (was.data !== node.data) was.data = node.data; return; }
  for (const { name } of [...was.attributes]) if (!node.hasAttribute(name)) was.removeAttribute(name);
  for (const { name, value } of node.attributes) if (was.getAttribute(name) !== value) was.setAttribute(name, value);
  update(was, ...node.childNodes);
}

export const toPayment = (id, name) => h("a", { class: "mono", href: `#/payment/${encodeURIComponent(id)}` }, name || id);

const whole = new Intl.NumberFormat("en-IN");
const minor = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const count = (value) => (value === undefined || value === null ? "–" : whole.format(Math.round(value)));
export const rate = (value) => (value >= 100 ? whole.format(Math.round(value)) : value.toFixed(1));
export const money = (amount, currency) => `${currency || "INR"} ${minor.format((amount || 0) / 100)}`;

export function seconds(value) {
  if (value === undefined || value === null || !isFinite(value)) return "–";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  if (value < 120) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} days`;
}

export function clock(ms) {
  const at = new Date(ms);
  const two = (value) => String(value).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

export function day(ms) {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

export const pill = (text, tone) => h("span", { class: `pill ${tone || ""}` }, text);

export function tile({ name, value, note, tone, href }) {
  const inside = [h("div", { class: "name" }, name), h("div", { class: "value" }, value), h("div", { class: "note" }, note || "")];
  const attributes = { class: `card tile ${tone || ""}`, "data-tile": name };
  return href ? h("a", { ...attributes, href }, inside) : h("div", attributes, inside);
}

export function table(head, rows, empty) {
  if (!rows.length) return h("div", { class: "empty" }, empty);
  const cells = head.map((cell) => cell ? h("th", { scope: "col", class: cell.startsWith(">") ? "right" : "" }, cell.replace(/^>/, "")) : h("td"));
  const body = h("table", {}, h("thead", {}, h("tr", {}, cells)), h("tbody", {}, rows));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": head[0].replace(">", "") }, body);
}

// A command that does the same, to be copied.
export function command(text) {
  const button = h("button", { type: "button", "data-key": text, onclick: async () => {
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
    catch { button.textContent = "Select it"; }
    setTimeout(() => { button.textContent = "Copy"; }, 1200);
  } }, "Copy");
  return h("div", { class: "command" }, h("code", {}, h("span", { class: "prompt", "aria-hidden": "true" }, "$ "), text), button);
}

// Lines over time: series of equal length, the newest at the right. `area` fills below the first.
export function chart(series, { format, area, label, wide }) {
  const [width, height, left, bottom, top] = [wide || 560, 150, 52, 18, 8];
  const length = Math.max(2, ...series.map((line) => line.length));
  const known = series.flat().filter((value) => isFinite(value));
  const most = nice(Math.max(...known, 0));
  const x = (at) => left + (at / (length - 1)) * (width - left - 4);
  const y = (value) => height - bottom - (value / most) * (height - bottom - top);
  const parts = [0, 0.5, 1].map((share) => [
    s("line", { class: "axis", x1: left, x2: width, y1: y(most * share), y2: y(most * share) }),
    s("text", { x: left - 6, y: y(most * share) + 4, "text-anchor": "end" }, format(most * share)),
  ]);
  series.forEach((line, index) => {
    const points = line.map((value, at) => [x(at + length - line.length), value]).filter(([, value]) => isFinite(value));
    if (points.length < 2) return;
    const path = points.map(([at, value], place) => `${place ? "L" : "M"}${at.toFixed(1)} ${y(value).toFixed(1)}`).join("");
    if (area && index === 0) {
      parts.push(s("path", { class: "f0", d: `${path}L${points.at(-1)[0].toFixed(1)} ${y(0)}L${points[0][0].toFixed(1)} ${y(0)}Z` }));
    }
    parts.push(s("path", { class: `s${index}`, d: path }));
  });
  parts.push(s("text", { x: left, y: height - 3 }, `${length - 1} s ago`));
  parts.push(s("text", { x: width - 4, y: height - 3, "text-anchor": "end" }, "now"));
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, parts);
}

function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

export const legend = (...names) => h("div", { class: "legend" }, names.map((name, at) => h("span", {}, h("i", { class: `i${at}` }), name)));
