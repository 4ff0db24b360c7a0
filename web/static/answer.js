// One exchange of the conversation, the same elements as templates/_answer.html.

import { el, plural, readableDate } from "./dom.js";

const sentenceOf = (id) => id.slice(id.lastIndexOf("#s") + 2);

function linkData(reply, n) {
  const citation = reply.citations.find((entry) => entry.n === n);
  const source = reply.sources.find((entry) => entry.article_id === citation.article_id);
  const sentence = sentenceOf(citation.sentence_ids[0]);
  const cited = source.cited_by
    .map((number) => sentenceOf(reply.citations.find((entry) => entry.n === number).sentence_ids[0])).join(",");
  const date = readableDate(source.published_at);
  const byline = [source.publisher, date].filter(Boolean).join(" · ");
  const href = `/articles/${encodeURIComponent(source.article_id)}?cite=${cited}#s${sentence}`;
  return { n, citation, source, byline, date, link: { href, "data-article": source.article_id,
    "data-sentence": sentence, "data-cited": cited } };
}

function chip(reply, n) {
  const { citation, source, byline, date, link } = linkData(reply, n);
  const label = [`Source ${n}: ${source.title}`, source.publisher, date].filter(Boolean).join(", ");
  return el("a", { class: "chip", ...link, "aria-label": label, "data-title": source.title, "data-byline": byline,
    "data-quote": citation.quote }, String(n));
}

// Offsets count code points; a string index in JavaScript counts UTF-16 units.
function aroundShortAnswer(reply, segment) {
  const short = reply.short_answer;
  const cited = reply.citations.find((entry) => entry.n === short?.citation);
  if (!cited || !segment.citations.includes(cited.n) || cited.quote !== segment.text) return [segment.text];
  const points = Array.from(segment.text);
  const [start, end] = [short.start - cited.source_start, short.end - cited.source_start];
  return [points.slice(0, start).join(""), el("strong", { class: "short-answer" }, points.slice(start, end).join("")),
    points.slice(end).join("")];
}

function answerText(reply) {
  return el("p", { class: "answer", dir: "auto" }, reply.answer.segments.flatMap((segment) => [
    el("span", { class: "segment" }, aroundShortAnswer(reply, segment),
      segment.citations.map((n) => el("sup", { class: "cite" }, chip(reply, n)))), " "]));
}

function sourceEntry(reply, source) {
  const first = linkData(reply, source.cited_by[0]);
  const said = new Set(reply.answer.segments.map((segment) => segment.text));
  const contexts = reply.answer.segments.filter((segment) => segment.context?.article_id === source.article_id);
  const quotes = reply.citations.filter((entry) => source.cited_by.includes(entry.n) && !said.has(entry.quote));
  return el("li", {},
    el("span", { class: "numbers" }, source.cited_by.map((n) => chip(reply, n))),
    el("div", {},
      el("a", { class: "headline", ...first.link, dir: "auto" }, source.title || "Untitled"),
      el("span", { class: "byline" }, first.byline),
      contexts.map((segment) => el("p", { class: "context" }, el("span", { class: "label" }, "Just before"), " ",
        el("q", { dir: "auto" }, segment.context.text))),
      quotes.map((entry) => el("blockquote", { dir: "auto" }, entry.quote)),
      source.url ? el("span", { class: "print-only" }, source.url) : null));
}

function nothingFound(reply) {
  const { message, closest, suggestions } = reply.not_found;
  const searched = reply.engine.articles ? `Searched ${plural(reply.engine.articles, "article")}. ` : "";
  return el("div", { class: "nothing" },
    el("p", { class: "verdict" }, message),
    el("p", { class: "muted" }, searched + suggestions.join(" ")),
    closest.length ? el("h3", { class: "label" }, "Closest, but no answer") : null,
    closest.length ? el("ul", { class: "closest" }, closest.map((entry) => el("li", {},
      el("a", { href: entry.url, "data-article": entry.article_id, "data-sentence": sentenceOf(entry.url),
        "data-cited": "", dir: "auto" }, entry.title || "Untitled"), " ",
      el("q", { dir: "auto" }, entry.quote)))) : null);
}

function how(reply) {
  const ms = reply.timings_ms.total ?? 0;
  const took = ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(2)} s`;
  const cited = reply.citations.length ? `${plural(reply.citations.length, "cited sentence")}, ` : "";
  const built = reply.engine.index_built_at ? `, built ${readableDate(reply.engine.index_built_at)} UTC` : "";
  const rows = [
    ...reply.notes.filter((note) => note.code !== "dates").map((note) => ["Note", note.message]),
    ["Answered by", reply.engine.answerer],
    ["Embedding model", reply.engine.embedding_model ?? "unknown"],
    ["Index", `generation ${reply.engine.generation}${built}`],
    ["Time", Object.entries(reply.timings_ms).map(([stage, ms]) => `${stage} ${ms} ms`).join(", ")],
  ];
  return el("details", { class: "how" }, el("summary", {}, cited + took),
    el("dl", {}, rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

function dates(reply) {
  return reply.notes.filter((note) => note.code === "dates")
    .map((note) => el("p", { class: "dates muted" }, note.message));
}

export function answerParts(reply) {
  if (reply.not_found) return [nothingFound(reply), ...dates(reply), how(reply)];
  return [
    answerText(reply),
    el("h3", { class: "label" }, reply.citations.length === 1 ? "Source" : "Sources"),
    el("ol", { class: "sources" }, reply.sources.map((source) => sourceEntry(reply, source))),
    ...dates(reply),
    how(reply),
  ];
}

export function failureParts(problem, retry) {
  const again = el("button", { type: "button" }, "Try again");
  again.addEventListener("click", retry);
  return [el("div", { class: "failure" },
    el("p", { class: "verdict" }, problem.title),
    el("p", {}, problem.detail),
    problem.errors?.length ? el("ul", {}, problem.errors.map((entry) => el("li", {}, entry.detail))) : null,
    problem.request_id ? el("p", { class: "muted" }, `Request ${problem.request_id}`) : null,
    again)];
}
