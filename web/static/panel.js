// The source panel: the whole article, opened at the cited sentence. Offsets count code points, JavaScript's strings
// count UTF-16 units: the text is cut as an array of code points.

import { el, readableDate } from "./dom.js";

const panel = document.getElementById("panel");
const desk = document.getElementById("main");
let opener = null;
let cited = [];
let active = 0;
let wanted = 0;

function paragraphs(article) {
  const points = Array.from(article.text);
  const cut = (start, end) => points.slice(start, end).join("");
  const found = [[]];
  const between = (text) => text.split("\n\n").forEach((part, count) => {
    if (count) found.push([]);
    if (part) found.at(-1).push(part);
  });
  let at = 0;
  for (const sentence of article.sentences) {
    between(cut(at, sentence.start));
    const text = cut(sentence.start, sentence.end);
    const marked = cited.includes(sentence.index);
    found.at(-1).push(el("span", { class: "sentence", "data-index": sentence.index }, marked ? el("mark", {}, text) : text));
    at = sentence.end;
  }
  between(cut(at));
  return found.filter((pieces) => pieces.length).map((pieces) => el("p", { dir: "auto" }, pieces));
}

function bar(article) {
  const button = (label, text, action, disabled = false) => {
    const node = el("button", { type: "button", "aria-label": label, title: label, disabled }, text);
    node.addEventListener("click", action);
    return node;
  };
  const page = article && `/articles/${encodeURIComponent(article.article_id)}?cite=${cited.join(",")}#s${cited[active]}`;
  return el("div", { class: "panel-bar" },
    article && cited.length > 1 ? [
      button("Previous cited sentence", "‹", () => step(-1), active === 0),
      el("span", {}, `Cited ${active + 1} of ${cited.length}`),
      button("Next cited sentence", "›", () => step(1), active === cited.length - 1),
    ] : null,
    el("span", { class: "grow" }),
    article ? el("a", { href: page }, "Page") : null,
    article?.url ? el("a", { href: article.url, rel: "noopener noreferrer external" }, "Original") : null,
    button("Close the source panel", "×", close));
}

function byline(article) {
  const parts = [article.authors.length ? `By ${article.authors.join(", ")}` : "", article.publisher ?? "",
    readableDate(article.published_at)].filter(Boolean);
  return el("p", { class: "byline" }, parts.flatMap((part) => [el("span", {}, el("bdi", {}, part)), " "]));
}

function focusSentence() {
  const body = panel.querySelector(".panel-body");
  body.querySelectorAll(".sentence.active").forEach((node) => node.classList.remove("active"));
  const sentence = body.querySelector(`.sentence[data-index="${cited[active]}"]`);
  if (!sentence) return;
  sentence.classList.add("active");
  const offset = sentence.getBoundingClientRect().top - body.getBoundingClientRect().top;
  body.scrollTop += offset - body.clientHeight / 3;
}

function step(by) {
  const next = active + by;
  if (next < 0 || next >= cited.length) return;
  active = next;
  const old = panel.querySelector(".panel-bar");
  const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  old.replaceWith(bar(panel.article));
  const again = focused && [...panel.querySelectorAll(".panel-bar button")].find((node) => node.getAttribute("aria-label") === focused);
  (again && !again.disabled ? again : panel.querySelector("h2")).focus({ preventScroll: true });
  focusSentence();
}

function show(article) {
  panel.article = article;
  const heading = el("h2", { tabindex: "-1", dir: "auto" }, article.title || "Untitled");
  panel.replaceChildren(bar(article), el("div", { class: "panel-body", tabindex: "0", role: "region",
    "aria-label": "Article text" }, heading, byline(article), el("div", { class: "text" }, paragraphs(article))));
  heading.focus({ preventScroll: true });
  focusSentence();
}

function say(text) {
  panel.article = null;
  panel.replaceChildren(bar(null), el("div", { class: "panel-body" }, el("p", { class: "muted" }, text)));
}

export function isOpen() {
  return !panel.hidden;
}

export async function open(link) {
  const turn = ++wanted;
  opener?.removeAttribute("aria-expanded");
  opener = link;
  opener.setAttribute("aria-expanded", "true");
  const sentence = Number(link.dataset.sentence);
  cited = (link.dataset.cited || link.dataset.sentence).split(",").map(Number).sort((a, b) => a - b);
  active = Math.max(0, cited.indexOf(sentence));
  panel.hidden = false;
  desk.classList.add("open");
  say("Opening the article…");
  try {
    const response = await fetch(`/v1/articles/${encodeURIComponent(link.dataset.article)}`);
    const body = await response.json();
    if (turn !== wanted) return;
    if (response.ok) show(body);
    else say(`${body.title}. ${body.detail}`);
  } catch {
    if (turn === wanted) say("The server cannot be reached.");
  }
}

export function close() {
  wanted += 1;
  panel.hidden = true;
  panel.replaceChildren();
  desk.classList.remove("open");
  opener?.removeAttribute("aria-expanded");
  opener?.focus();
  opener = null;
}

panel?.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !panel.article) return;
  if (event.key === "n") step(1);
  if (event.key === "p") step(-1);
});
