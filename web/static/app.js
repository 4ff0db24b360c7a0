// The chat on top of the page that the server rendered: asking without loading a page, following the answer while it is
// made, the source panel, the keyboard. An address is a question: what a link or form would load, the scripts ask.

import * as card from "./card.js";
import { $, el, load, plural } from "./dom.js";
import * as panel from "./panel.js";
import * as past from "./past.js";
import { events } from "./stream.js";

const form = $("ask");
const box = $("q");
const log = $("log");
const main = $("main");
const tags = $("tags");
const LOOK_SECONDS = 60;
const TURNS = 3;
let running = null;

const exchanges = () => [...log.querySelectorAll(".exchange[data-address]")];
const focusOn = (exchange) => {
  exchange.firstElementChild.tabIndex = -1;
  exchange.firstElementChild.focus({ preventScroll: true });
};
const announce = (text) => { $("status").textContent = text; };

function busy(on) {
  const held = document.activeElement.closest(".row button");
  $("send").hidden = on;
  $("stop").hidden = !on;
  if (held) $(on ? "stop" : "send").focus();
  log.setAttribute("aria-busy", String(on));
}

// What the form would load, with the question before this one.
function typed(question) {
  const query = new URLSearchParams({ q: question });
  const before = exchanges().findLast((node) => node.dataset.status === "answered");
  if (before) query.set("after", before.dataset.asked);
  for (const [name, value] of new FormData(form)) {
    if (value && ["from", "to", "outlet"].includes(name)) query.append(name, value);
  }
  return query;
}

const said = (exchange) => [...exchange.querySelectorAll(".segment")].map((node) => node.textContent).join(" ");

function conversation(query) {
  if (!query.has("after")) return [];
  const turns = exchanges().filter((node) => node.dataset.status === "answered").slice(-TURNS).flatMap((node) => [
    { role: "user", content: node.dataset.asked }, { role: "assistant", content: said(node) }]);
  const [before] = turns.slice(-2);
  return before?.content === query.get("after") ? turns : [{ role: "user", content: query.get("after") }];
}

function request(query) {
  const filters = { publishers: query.getAll("outlet"), published_from: query.get("from"), published_to: query.get("to") };
  return { question: query.get("q"), stream: true, filters, dates: !query.has("dates"), history: conversation(query) };
}

// The line that says what is being done, and for how long already.
function working() {
  const started = performance.now();
  let text = "Searching";
  const line = el("p", { class: "working" });
  const show = () => {
    const seconds = Math.floor((performance.now() - started) / 1000);
    line.textContent = seconds ? `${text}… ${seconds} s` : `${text}…`;
  };
  const timer = setInterval(show, 250);
  show();
  return { line, say: (message) => { text = message; show(); }, end: () => { clearInterval(timer); line.remove(); } };
}

// The answer as it comes, until the server's rendering takes its place; its numbers lead nowhere yet.
function draft(line) {
  const answer = el("p", { class: "answer", dir: "auto" });
  const segments = [];
  const at = (index) => {
    if (!answer.isConnected) line.before(answer);
    if (!segments[index]) answer.append(segments[index] = el("span", {}, el("span", { class: "segment" })));
    return segments[index];
  };
  return (name, data) => {
    const below = innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
    if (name === "ask.sources") {
      line.after(el("ul", { class: "reading muted" }, data.sources.slice(0, 3).map((source) => el("li", { dir: "auto" }, source.title))));
    } else if (name === "answer.delta") at(data.segment).firstChild.append(data.text);
    else if (name === "answer.citation") {
      at(data.segment).append(el("sup", { class: "cite" }, el("span", { class: "chip" }, data.citation.n)));
    }
    if (below && segments.length) scrollTo(scrollX, document.documentElement.scrollHeight);
  };
}

async function finish(exchange, reply, query) {
  const page = await load(`/a/${reply.id}`);
  const finished = document.adoptNode(page.querySelector(".exchange"));
  const held = exchange.contains(document.activeElement);
  exchange.replaceWith(finished);
  if (held) focusOn(finished);
  const { sentences, sources, status } = finished.dataset;
  announce(status === "answered" ? `Answer ready: ${plural(sentences, "sentence")}, ${plural(sources, "source")}.` : "No answer found.");
  history.replaceState(null, "", `/?${query}`);
  document.title = `${query.get("q").slice(0, 80)} · Sourceline`;
  past.add(query);
}

function failed(exchange, query, problem, wait = 0) {
  const part = $("failure").content.cloneNode(true).firstElementChild;
  const [verdict, detail, fields, number, again] = part.children;
  verdict.textContent = problem.title;
  detail.textContent = problem.detail;
  fields.append(...(problem.errors ?? []).map((entry) => el("li", {}, entry.detail)));
  number.textContent = problem.request_id ? `Request ${problem.request_id}` : "";
  again.addEventListener("click", () => { exchange.remove(); ask(query); });
  exchange.append(part);
  announce(problem.title);
  const count = (left) => {
    again.disabled = left > 0;
    again.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
    if (left > 0) setTimeout(count, 1000, left - 1);
  };
  count(wait);
  box.value ||= query.get("q");
}

// Until the server is back, with longer and longer pauses; then the question is asked again, if it still stands there.
async function lost(exchange, query) {
  failed(exchange, query, { title: "The server cannot be reached", detail: "It may have been stopped. Your question is kept." });
  for (let wait = 1; exchange.isConnected; wait = Math.min(2 * wait, 30)) {
    $("banner").textContent = `The server cannot be reached; trying again in ${wait} s.`;
    $("banner").hidden = false;
    await new Promise((done) => { setTimeout(done, 1000 * wait); });
    const back = await fetch("/livez").then((response) => response.ok, () => false);
    if (back && exchange.isConnected) {
      exchange.remove();
      if (box.value === query.get("q")) box.value = "";
      ask(query);
    }
  }
  $("banner").hidden = true;
}

async function ask(query) {
  running?.abort();
  const own = running = new AbortController();
  $("empty")?.remove();
  $("toast").replaceChildren();
  document.querySelector("dialog[open]")?.close();
  form.querySelector("details").open = false;
  const { line, say, end } = working();
  const body = JSON.stringify(request(query));
  const exchange = el("article", { class: "exchange" }, el("h2", { class: "question", dir: "auto" }, query.get("q")), line);
  const write = draft(line);
  log.append(exchange);
  exchange.scrollIntoView({ block: "start" });
  if (document.activeElement === document.body) focusOn(exchange);
  busy(true);
  announce("Searching");
  let ended = false;
  try {
    const response = await fetch("/ask", { method: "POST", signal: own.signal,
      headers: { "Content-Type": "application/json" }, body });
    if (!response.ok) {
      ended = true;
      failed(exchange, query, await response.json(), Number(response.headers.get("Retry-After") ?? 0));
      return;
    }
    for await (const { name, data } of events(response)) {
      write(name, data);
      if (name === "ask.progress") say(data.message);
      if (name === "ask.completed" || name === "ask.failed") ended = true;
      if (name === "ask.completed") await finish(exchange, data.response, query);
      if (name === "ask.failed") failed(exchange, query, data.problem);
    }
    if (!ended) throw new Error("the stream ended early");
  } catch {
    if (own.signal.aborted) failed(exchange, query, { title: "Stopped", detail: "What was found until then stays here." });
    else lost(exchange, query);
  } finally {
    end();
    if (running === own) {
      running = null;
      busy(false);
    }
  }
}

// A word beside the button that was pressed.
function tell(node, text) {
  const place = node.closest(".actions, .panel-bar") ?? node.parentElement;
  place.querySelector("output")?.remove();
  place.append(el("output", {}, text));
}

// Outside https and loopback nothing may be copied: it is shown, to be copied by hand.
const copy = async (node, text, done) => tell(node, await navigator.clipboard?.writeText(text).then(() => done, () => text) ?? text);

async function post(path, data, node) {
  const response = await fetch(path, { method: "POST", body: data, headers: { Accept: "text/html" } }).catch(() => null);
  if (response?.ok) return response;
  tell(node, response?.status === 404 ? "The server no longer has this answer: ask again." : "That did not work.");
  return null;
}

async function act(given, button) {
  const sent = await post(given.getAttribute("action"), new URLSearchParams(new FormData(given, button)), given);
  if (!sent) return;
  if (given.dataset.act === "share") await copy(given, sent.url, "Link copied.");
  else {
    tell(given, "Noted, thank you.");
    given.closest("details")?.removeAttribute("open");
  }
}

$("link").addEventListener("click", () => copy($("link"), panel.link(), "Link copied."));
$("dispute")?.addEventListener("click", async () => {
  const { id, n } = panel.citation();
  const data = new URLSearchParams({ rating: "down", reason: "not_in_source", citation: n });
  if (await post(`/a/${id}/feedback`, data, $("dispute"))) tell($("dispute"), "Noted, thank you.");
});

// Filters in force are ticked boxes; a field adds one, taking the tick away removes it.
function addTag(field) {
  const { name, value } = field;
  const day = () => new Date(`${value}T00:00`).toLocaleDateString("en-GB", { dateStyle: "long" });
  const text = name === "outlet" ? value : `${name === "from" ? "From" : "Until"} ${day()}`;
  for (const old of tags.querySelectorAll("input")) {
    if (old.name === name && (name !== "outlet" || old.value === value)) old.parentElement.remove();
  }
  tags.append(el("label", { class: "tag" }, el("input", { type: "checkbox", name, value, checked: true }), text));
  field.value = "";
}

form.addEventListener("change", ({ target }) => {
  if (target.type === "checkbox") {
    target.parentElement.remove();
    box.focus();
  } else if (target.name !== "q" && target.value) addTag(target);
});

document.addEventListener("submit", (event) => {
  const { target, submitter } = event;
  if (target.method === "dialog") return;
  if (target !== form && !target.matches(".resolved, [data-act]")) return;
  event.preventDefault();
  if (target.dataset.act) act(target, submitter);
  else if (target === form) {
    const question = box.value.trim();
    if (!question) return;
    box.value = "";
    ask(typed(question));
  } else {
    const query = new URLSearchParams(target.closest("[data-address]").dataset.address.slice(2));
    query.set("q", new FormData(target).get("q"));
    ask(query);
  }
});

document.addEventListener("click", async (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element && event.target.closest("a[data-open], a[data-ask], a[data-edit], a[data-copy]");
  if (!link) return;
  event.preventDefault();
  card.hide();
  if ("open" in link.dataset) panel.open(link);
  else if ("ask" in link.dataset) ask(new URL(link.href).searchParams);
  else if ("edit" in link.dataset) {
    box.value = link.closest(".exchange").querySelector(".question").textContent;
    box.focus();
  } else {
    const text = await fetch(link.href).then((response) => (response.ok ? response.text() : null), () => null);
    if (text) await copy(link, text, "Copied.");
    else tell(link, "The server no longer has this answer: ask again.");
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (card.hide()) return;
    if (running) running.abort();
    else if (panel.isOpen()) panel.close();
  }
  if (event.target instanceof Element && event.target.closest("input, select, textarea")) return;
  if (event.key === "/") {
    event.preventDefault();
    box.focus();
  }
  if (event.key === "?") $("help").showModal();
});

box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
  const last = log.querySelector(".exchange:last-child .question");
  if (event.key === "ArrowUp" && !box.value && last) {
    event.preventDefault();
    box.value = last.textContent;
  }
});

// A new generation: the masthead follows it, and answers from the one before can be asked again.
async function look() {
  if (document.hidden || running) return;
  const page = await load("/").catch(() => null);
  const now = page?.getElementById("main")?.dataset;
  if (!now?.generation || now.generation === main.dataset.generation) return;
  const more = now.articles - main.dataset.articles;
  Object.assign(main.dataset, { generation: now.generation, articles: now.articles });
  document.querySelector(".facts").replaceWith(document.adoptNode(page.querySelector(".facts")));
  const last = exchanges().at(-1);
  if (last) {
    $("toast").replaceChildren(more > 0 ? `${plural(more, "new article")}. ` : "The articles have changed. ",
      el("a", { href: last.dataset.address, "data-ask": true }, "Ask again"));
  }
}

$("stop").addEventListener("click", ({ detail }) => detail < 2 && running?.abort());
$("keys").hidden = false;
$("keys").addEventListener("click", () => $("help").showModal());
setInterval(look, 1000 * LOOK_SECONDS);
document.addEventListener("visibilitychange", look);
form.querySelector("[name=after]")?.remove();
past.watch();
card.watch(document);
if (exchanges().length) past.add(location.search.slice(1));
