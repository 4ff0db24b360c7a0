// The card of a citation, on hover and on focus: hoverable, and gone with Esc.

import { $, el } from "./dom.js";

let card = null;
let owner = null;
let timer = 0;

function place() {
  const chip = owner.getBoundingClientRect();
  const box = card.getBoundingClientRect();
  const left = Math.min(Math.max(8, chip.left - 24), window.innerWidth - box.width - 8);
  const below = chip.bottom + 8;
  const top = below + box.height > window.innerHeight - 8 ? Math.max(8, chip.top - box.height - 8) : below;
  card.style.left = `${left}px`;
  card.style.top = `${top}px`;
}

function show(chip) {
  hide();
  owner = chip;
  card = el("div", { class: "card", role: "tooltip", id: "card" },
    el("strong", { dir: "auto" }, chip.dataset.title || "Untitled"),
    el("span", { class: "muted" }, chip.dataset.byline),
    el("q", { dir: "auto" }, chip.dataset.quote));
  $("main").append(card);
  chip.setAttribute("aria-describedby", "card");
  place();
}

export function hide() {
  clearTimeout(timer);
  if (!card) return false;
  card.remove();
  owner.removeAttribute("aria-describedby");
  card = owner = null;
  return true;
}

const chipOf = (event) => event.target instanceof Element ? event.target.closest("a.chip") : null;
const inCard = (node) => node instanceof Node && (card?.contains(node) || owner?.contains(node));

export function watch(root) {
  const later = (action, delay) => { clearTimeout(timer); timer = setTimeout(action, delay); };
  root.addEventListener("pointerover", (event) => {
    const chip = chipOf(event);
    if (event.pointerType === "touch") return;
    if (chip && chip !== owner) later(() => show(chip), 120);
    else if (inCard(event.target)) clearTimeout(timer);
  });
  root.addEventListener("pointerout", (event) => {
    if ((chipOf(event) || inCard(event.target)) && !inCard(event.relatedTarget)) later(hide, 200);
  });
  root.addEventListener("focusin", (event) => {
    const chip = chipOf(event);
    if (chip?.matches(":focus-visible")) show(chip);
  });
  root.addEventListener("focusout", (event) => {
    if (chipOf(event)) hide();
  });
}
