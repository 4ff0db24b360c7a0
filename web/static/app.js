// The chat on top of the page that the server rendered: asking without loading a page, the source panel, the keyboard.

import { answerParts, failureParts } from "./answer.js";
import * as card from "./card.js";
import { el, plural } from "./dom.js";
import * as panel from "./panel.js";

const form = document.getElementById("ask");
const box = document.getElementById("q");
const log = document.getElementById("log");
const send = document.getElementById("send");
const stop = document.getElementById("stop");
const announcer = document.getElementById("status");
const articles = Number(document.getElementById("main").dataset.articles);
const LOST = { title: "The server cannot be reached", detail: "It may have been stopped. Your question is kept." };
let running = null;
let lastQuestion = document.querySelector(".exchange .question")?.textContent ?? "";

function filters() {
  const data = new FormData(form);
  const given = {};
  if (data.get("from")) given.published_from = data.get("from");
  if (data.get("to")) given.published_to = data.get("to");
  if (data.get("outlet")) given.publishers = [data.get("outlet")];
  return given;
}

function address(question) {
  const query = new URLSearchParams(new FormData(form));
  query.set("q", question);
  for (const [name, value] of [...query]) if (!value) query.delete(name);
  return `/?${query}`;
}

function busy(on) {
  send.hidden = on;
  stop.hidden = !on;
  log.setAttribute("aria-busy", String(on));
}

function waitLine() {
  const started = performance.now();
  const text = `Searching ${plural(articles, "article")}`;
  const line = el("p", { class: "working" }, `${text}…`);
  const timer = setInterval(() => {
    const seconds = Math.floor((performance.now() - started) / 1000);
    if (seconds) line.textContent = `${text}… ${seconds} s`;
  }, 250);
  return { line, end: () => clearInterval(timer) };
}

function summary(reply) {
  if (reply.not_found) return "No answer found.";
  return `Answer ready: ${plural(reply.answer.segments.length, "sentence")}, ${plural(reply.sources.length, "source")}.`;
}

function failed(exchange, question, problem, wait = 0) {
  exchange.append(...failureParts(problem, () => { exchange.remove(); ask(question); }));
  announcer.textContent = problem.title;
  const again = exchange.querySelector(".failure button");
  const count = (left) => {
    again.disabled = left > 0;
    again.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
    if (left > 0) setTimeout(count, 1000, left - 1);
  };
  count(wait);
  if (!box.value) box.value = question;
}

async function ask(question) {
  running?.abort();
  const own = running = new AbortController();
  lastQuestion = question;
  document.getElementById("empty")?.remove();
  const { line, end } = waitLine();
  const exchange = el("article", { class: "exchange" }, el("h2", { class: "question", dir: "auto" }, question), line);
  log.append(exchange);
  exchange.scrollIntoView({ block: "start" });
  busy(true);
  announcer.textContent = "Searching";
  try {
    const response = await fetch("/ask", { method: "POST", signal: own.signal,
      headers: { "Content-Type": "application/json" }, body: JSON.stringify({ question, filters: filters() }) });
    const body = await response.json();
    line.remove();
    if (response.ok) {
      exchange.append(...answerParts(body));
      announcer.textContent = summary(body);
      history.replaceState(null, "", address(question));
      document.title = `${question.slice(0, 80)} · Sourceline`;
    } else {
      failed(exchange, question, body, Number(response.headers.get("Retry-After") ?? 0));
    }
  } catch {
    line.remove();
    failed(exchange, question, own.signal.aborted ? { title: "Stopped", detail: "The question was not answered." } : LOST);
  } finally {
    end();
    if (running === own) {
      running = null;
      busy(false);
    }
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = box.value.trim();
  if (!question) return;
  box.value = "";
  ask(question);
});
stop.addEventListener("click", () => running?.abort());

document.addEventListener("click", (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element && event.target.closest("a[data-article], a[data-ask]");
  if (!link) return;
  event.preventDefault();
  card.hide();
  if (link.dataset.ask) ask(link.dataset.ask);
  else panel.open(link);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (card.hide()) return;
    if (running) running.abort();
    else if (panel.isOpen()) panel.close();
  }
  const typing = event.target instanceof Element && event.target.closest("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
  }
});
box.addEventListener("keydown", (event) => {
  if (event.key === "ArrowUp" && !box.value && lastQuestion) {
    event.preventDefault();
    box.value = lastQuestion;
  }
});

card.watch(document);
