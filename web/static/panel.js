// The source panel: the article's own page, moved in, at the cited sentence. The server decides what is marked.

import { $, el, load } from "./dom.js";

const panel = $("panel");
const desk = $("main");
const body = panel.querySelector(".panel-body");
const steps = panel.querySelectorAll("[data-step]");
let opener = null;
let path = "";
let page = "";
let cited = [];
let active = 0;
let wanted = 0;

const address = () => path + (cited[active] ? `#${cited[active].id}` : "");

// The citation of the answer that leads to the active sentence.
export function citation() {
  const exchange = opener?.closest(".exchange");
  const chip = exchange && [...exchange.querySelectorAll("a.chip")].find((node) => node.getAttribute("href") === address());
  return chip && { id: exchange.dataset.id, n: chip.textContent, original: chip.dataset.original };
}

export const link = () => new URL(address(), location.href).href;

function show() {
  steps.forEach((node) => {
    node.hidden = cited.length < 2;
    node.disabled = !cited[active + Number(node.dataset.step)];
  });
  $("place").textContent = cited[1] && cited[active] ? `Cited ${active + 1} of ${cited.length}` : "";
  if ($("dispute")) $("dispute").hidden = !citation();
  $("link").hidden = $("alone").hidden = !page;
  $("alone").href = address();
  $("original").href = citation()?.original || page;
  $("original").hidden = !(citation()?.original || page.startsWith("http"));
  panel.querySelector("output")?.remove();
  body.querySelectorAll(".active").forEach((node) => node.classList.remove("active"));
  if (!cited[active]) return;
  cited[active].classList.add("active");
  body.scrollTop += cited[active].getBoundingClientRect().top - body.getBoundingClientRect().top - body.clientHeight / 3;
}

function step(by) {
  if (!cited[active + by]) return;
  active += by;
  show();
  if (document.activeElement.disabled || document.activeElement === document.body) {
    body.querySelector("h2").focus({ preventScroll: true });
  }
}

function fill(story, target, quote) {
  const title = story.querySelector("h1");
  const heading = el("h2", { tabindex: "-1", dir: "auto" }, title.textContent);
  title.replaceWith(heading);
  const original = story.querySelector("a[rel]");
  page = original?.href ?? path;
  original?.remove();
  story.querySelector(".marked")?.remove();
  body.replaceChildren(...document.adoptNode(story).childNodes);
  const place = [...body.querySelectorAll(".sentence")].find((node) => node.id === target);
  cited = [...body.querySelectorAll("mark")].map((node) => node.parentElement);
  // A quote that is no longer there is shown as it was; what stands in its place is not pointed at.
  if (quote && !cited.includes(place)) heading.after(el("p", { class: "note" }, "It read when it was cited: ", el("q", { dir: "auto" }, quote)));
  else if (place && !cited.includes(place)) cited = [place];
  active = cited.indexOf(place);
  heading.focus({ preventScroll: true });
}

function say(text) {
  page = "";
  cited = [];
  body.replaceChildren(el("p", { class: "muted" }, text));
}

export const isOpen = () => !panel.hidden;

export async function open(chosen) {
  const turn = ++wanted;
  opener?.removeAttribute("aria-expanded");
  opener = chosen;
  opener.setAttribute("aria-expanded", "true");
  const [before, target] = opener.getAttribute("href").split("#");
  path = before;
  panel.hidden = false;
  desk.classList.add("open");
  scrollBy(0, panel.getBoundingClientRect().bottom - innerHeight);
  say("Opening the article…");
  show();
  const found = await load(path).catch(() => null);
  if (turn !== wanted) return;
  if (found) fill(found.querySelector("main article") ?? found.querySelector("main"), target, opener.dataset.quote);
  else say("The server cannot be reached.");
  show();
}

export function close() {
  wanted += 1;
  panel.hidden = true;
  desk.classList.remove("open");
  opener?.removeAttribute("aria-expanded");
  (opener?.isConnected ? opener : $("q")).focus();
  opener = null;
}

steps.forEach((node) => node.addEventListener("click", () => step(Number(node.dataset.step))));
$("shut").addEventListener("click", close);
panel.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") step(1);
  if (event.key === "p") step(-1);
});
