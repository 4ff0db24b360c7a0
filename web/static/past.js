// What was asked in this browser, newest first; kept nowhere else.

import { $, el } from "./dom.js";

const MOST = 100;
const dialog = $("history");
const list = dialog.querySelector("ul");

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem("asked") ?? "[]");
    return Array.isArray(found) ? found.filter((entry) => typeof entry?.query === "string") : [];
  } catch {
    return [];
  }
}

function keep(entries) {
  try { localStorage.setItem("asked", JSON.stringify(entries.slice(0, MOST))); } catch { /* a browser that keeps nothing */ }
}

export function add(query) {
  keep([{ query: String(query), at: Date.now() }, ...kept().filter((entry) => entry.query !== String(query))]);
}

function show() {
  const entries = kept();
  list.replaceChildren(...entries.map(({ query, at }) => {
    const question = new URLSearchParams(query).get("q") ?? "";
    const remove = el("button", { type: "button", class: "plain", "aria-label": `Delete ${question}` }, "×");
    remove.addEventListener("click", () => change(kept().filter((entry) => entry.query !== query)));
    return el("li", {}, el("a", { href: `/?${query}`, "data-ask": true, dir: "auto" }, question),
      el("span", { class: "byline" }, new Date(at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })), remove);
  }));
  if (!entries.length) list.append(el("li", {}, "Nothing was asked yet."));
  $("forget").hidden = !entries.length;
}

function change(entries) {
  keep(entries);
  show();
  (list.querySelector("button") ?? dialog.querySelector("form button")).focus();
}

export function watch() {
  $("past").hidden = false;
  $("past").addEventListener("click", () => { show(); dialog.showModal(); });
  $("forget").addEventListener("click", () => change([]));
}
