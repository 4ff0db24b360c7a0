"""The OpenAPI document: an example in every schema, problem documents on every route; and what /docs shows of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from qa.contract import EVENTS, ChatChunk, ChatProblem, Problem

__all__ = ["EXAMPLES", "Operation", "build_document", "chunks", "events", "list_operations", "problems"]

_QUOTE = "The central bank raised its main rate to 4.5% on Friday, its first move this year."
_ID = "a_7f3c91d2"
_SUPPORT = {"label": "supported", "score": 0.94}
_CITATION: dict[str, Any] = {
    "n": 1,
    "segments": [0],
    "article_id": _ID,
    "sentence_ids": [f"{_ID}#s0"],
    "quote": _QUOTE,
    "source_start": 0,
    "source_end": len(_QUOTE),
    "quote_sha256": hashlib.sha256(_QUOTE.encode()).hexdigest(),
    "verified": True,
    "state": "current",
    "support": _SUPPORT,
    "url": f"/articles/{_ID}#s0",
    "original_url": "https://news.example/bank-lifts-rates#:~:text=The%20central%20bank",
}
_CONTEXT = {"article_id": _ID, "sentence_id": f"{_ID}#s0", "text": _QUOTE}
_SEGMENT = {"index": 0, "start": 0, "end": len(_QUOTE), "text": _QUOTE, "citations": [1], "context": None}
_TEXT = {"text": _QUOTE, "text_with_markers": f"{_QUOTE}[1]", "segments": [_SEGMENT]}
_RATE = "4.5%"
_SHORT = {"text": _RATE, "citation": 1, "start": _QUOTE.index(_RATE), "end": _QUOTE.index(_RATE) + len(_RATE)}
_SOURCE: dict[str, Any] = {
    "article_id": _ID,
    "title": "Bank lifts rates",
    "publisher": "Example Times",
    "authors": ["Ada Long"],
    "url": "https://news.example/bank-lifts-rates",
    "published_at": "2026-10-02T08:30:00+01:00",
    "modified_at": None,
    "section": "Business",
    "language": "en",
    "content_sha256": hashlib.sha256(b"an article").hexdigest(),
    "cited_by": [1],
    "duplicates": [],
}
_NOTE = {
    "code": "dates",
    "message": "Articles from about 1 to 5 October 2026 (“this month”) and 29 September to 5 October 2026"
    " (the day given) were preferred.",
}
_RANGE = {"text": "this month", "published_from": "2026-10-01", "published_to": "2026-10-05"}
_DATES = {
    "as_of": "2026-10-05",
    "given": True,
    "ranges": [_RANGE, {"text": None, "published_from": "2026-09-29", "published_to": "2026-10-05"}],
}
_FOUND = {
    "article_id": "a_51be0c77",
    "title": "What the bank said",
    "publisher": "Example Times",
    "published_at": "2026-10-03",
    "url": "/articles/a_51be0c77#s4",
}
_CLOSEST = {
    "article_id": _ID,
    "title": "Bank lifts rates",
    "quote": _QUOTE,
    "url": f"/articles/{_ID}#s0",
    "score": 0.31,
}
_NOT_FOUND = {
    "reason": "low_confidence",
    "message": "No article here answers that.",
    "closest": [_CLOSEST],
    "suggestions": ["Ask with names or words that an article would use."],
}
_ENGINE = {
    "answerer": "extractive",
    "answer_model": None,
    "embedding_model": "all-MiniLM-L6-v2",
    "generation": 7,
    "index_built_at": "2026-11-22T09:55:02Z",
    "articles": 1204,
    "passages": 9312,
}
_USAGE = {"prompt_tokens": 0, "completion_tokens": 0}
_SCORES = {
    "score": 0.032,
    "dense_rank": 1,
    "lexical_rank": 2,
    "dense_score": 0.71,
    "lexical_score": 9.4,
    "recency": 1.0,
}
_PASSAGE = {
    "rank": 1,
    "article_id": _ID,
    "title": "Bank lifts rates",
    "sentence_ids": [f"{_ID}#s0"],
    "source_start": 0,
    "source_end": len(_QUOTE),
    "text": _QUOTE,
    "url": f"/articles/{_ID}#s0",
    "scores": _SCORES,
}
_TURN = {"role": "user", "content": "What did the bank do last month?"}
_FILTERS: dict[str, Any] = {"published_from": "2026-10-01", "publishers": ["Example Times"]}
_QUESTION = "Did the central bank raise rates this month?"
_TIMINGS = {"embed": 2.8, "search": 3.1, "answer": 4.0, "total": 10.2}
_FIELD = {"pointer": "/question", "detail": "Field required."}
_PROBLEM = {
    "type": "/problems/validation",
    "title": "The request does not fit",
    "status": 422,
    "detail": "1 field was refused.",
    "instance": "/v1/ask",
    "request_id": "req_9f2b6c1de0a4",
    "errors": [_FIELD],
}
_SENTENCE = {"id": f"{_ID}#s0", "index": 0, "start": 0, "end": len(_QUOTE)}


_ANSWER: dict[str, Any] = {
    "object": "answer",
    "id": "ans_01KAMR3V5Y8M2T0Q4W6Z9B1C3D",
    "created_at": "2026-11-22T10:00:00Z",
    "question": _QUESTION,
    "resolved_question": None,
    "status": "answered",
    "offset_unit": "codepoint",
    "answer": _TEXT,
    "short_answer": _SHORT,
    "citations": [_CITATION],
    "sources": [_SOURCE],
    "also_found": [_FOUND],
    "not_found": None,
    "dates": _DATES,
    "notes": [_NOTE],
    "follow_ups": ["Who is Ada Long?"],
    "engine": _ENGINE,
    "usage": _USAGE,
    "timings_ms": _TIMINGS,
    "passages": None,
}

_CHAT: dict[str, Any] = {"id": _ANSWER["id"], "created": 1795341600, "model": "sourceline"}
_ANNOTATION: dict[str, Any] = {
    "type": "url_citation",
    "url_citation": {
        "start_index": len(_QUOTE),
        "end_index": len(_QUOTE) + len("[1]"),
        "title": _SOURCE["title"],
        "url": _CITATION["original_url"],
    },
}
_CHOICE: dict[str, Any] = {
    "index": 0,
    "message": {"role": "assistant", "content": _TEXT["text_with_markers"], "annotations": [_ANNOTATION]},
    "finish_reason": "stop",
}
_CHUNK: dict[str, Any] = {"index": 0, "delta": {"content": _TEXT["text_with_markers"]}, "finish_reason": None}
_ASKING = {"role": "user", "content": _QUESTION}
_MODEL = {"id": "sourceline", "object": "model", "created": 1795341600, "owned_by": "sourceline"}
_ERROR = {
    "message": "1 field was refused.",
    "type": "invalid_request_error",
    "param": "/messages",
    "code": "validation",
}

EXAMPLES: dict[str, Any] = {
    "AnswerCitation": {"seq": 7, "segment": 0, "citation": _CITATION},
    "AnswerDelta": {"seq": 6, "segment": 0, "text": _QUOTE},
    "AnswerReply": _ANSWER,
    "AnswerText": _TEXT,
    "ArticleReply": {
        "object": "article",
        **{key: value for key, value in _SOURCE.items() if key not in ("cited_by", "duplicates")},
        "generation": 7,
        "offset_unit": "codepoint",
        "text": _QUOTE,
        "sentences": [_SENTENCE],
    },
    "AskCompleted": {"seq": 8, "response": _ANSWER},
    "AskCreated": {
        "seq": 1,
        **{key: _ANSWER[key] for key in ("id", "question", "resolved_question")},
        "generation": _ENGINE["generation"],
    },
    "AskFailed": {"seq": 5, "problem": _PROBLEM},
    "AskProgress": {
        "seq": 2,
        "stage": "searching",
        "message": "Searching 1,204 articles",
        "count": 1204,
        "elapsed_ms": 0.4,
    },
    "AskSources": {"seq": 4, "sources": [{**_SOURCE, "cited_by": []}]},
    "AskRequest": {"question": _QUESTION, "max_sentences": 3, "as_of": "2026-10-05"},
    "ChatAnnotation": _ANNOTATION,
    "ChatChoice": _CHOICE,
    "ChatChunk": {**_CHAT, "object": "chat.completion.chunk", "choices": [_CHUNK], "usage": None},
    "ChatDelta": _CHUNK["delta"],
    "ChatMessage": _CHOICE["message"],
    "ChatMessageIn": _ASKING,
    "ChatProblem": {**_PROBLEM, "instance": "/v1/chat/completions", "error": _ERROR},
    "ChatReply": {**_CHAT, "object": "chat.completion", "choices": [_CHOICE], "usage": {**_USAGE, "total_tokens": 0}},
    "ChatRequest": {"model": "sourceline", "messages": [_ASKING]},
    "ChatUsage": {**_USAGE, "total_tokens": 0},
    "ChunkChoice": _CHUNK,
    "CitationOut": _CITATION,
    "ClientError": _ERROR,
    "ClosestOut": _CLOSEST,
    "ContextOut": _CONTEXT,
    "DatesOut": _DATES,
    "EngineOut": _ENGINE,
    "FeedbackReply": {
        "object": "feedback",
        "id": "fb_01KAMR5T0B7N4V8X2Y6Z9A1C3E",
        "answer_id": _ANSWER["id"],
    },
    "FeedbackRequest": {
        "answer_id": _ANSWER["id"],
        "rating": "down",
        "citation": 1,
        "reasons": ["outdated"],
        "comment": "The rate was raised again in November.",
    },
    "FiltersIn": _FILTERS,
    "FoundOut": _FOUND,
    "IndexReply": {
        "object": "index",
        "state": "ready",
        "reason": None,
        "generation": 7,
        "built_at": "2026-11-22T09:55:02Z",
        "articles": 1204,
        "sentences": 30118,
        "passages": 9312,
        "newest": "2026-11-22",
        "oldest": "2026-01-03",
        "embedding_model": "all-MiniLM-L6-v2",
        "publishers": ["Example Times"],
    },
    "JobReply": {
        "object": "job",
        "id": "job_01KAMR3V5Y8M2T0Q4W6Z9B1C3D",
        "kind": "rebuild",
        "status": "running",
        "created_at": "2026-11-22T10:00:00Z",
        "finished_at": None,
        "result": None,
        "error": None,
    },
    "LiveReply": {"status": "alive"},
    "ModelOut": _MODEL,
    "ModelsReply": {"object": "list", "data": [_MODEL]},
    "NotFoundOut": _NOT_FOUND,
    "NoteOut": _NOTE,
    "PassageOut": _PASSAGE,
    "Problem": _PROBLEM,
    "ProblemField": _FIELD,
    "RangeOut": _RANGE,
    "ReadyReply": {"status": "ready", "reasons": [], "generation": 7},
    "ScoresOut": _SCORES,
    "SearchReply": {
        "object": "search",
        "question": _QUESTION,
        "resolved_question": None,
        "generation": 7,
        "passages": [_PASSAGE],
        "dates": _DATES,
        "notes": [_NOTE],
        "timings_ms": {"total": 6.1},
    },
    "SearchRequest": {"question": _QUESTION, "top_k": 5, "as_of": "2026-10-05"},
    "SegmentOut": _SEGMENT,
    "SentenceOut": _SENTENCE,
    "SharedReply": {
        "object": "shared_answer",
        "answer_id": _ANSWER["id"],
        "url": f"/a/{_ANSWER['id']}",
    },
    "ShortAnswerOut": _SHORT,
    "SourceOut": _SOURCE,
    "StreamOptions": {"include_usage": True},
    "SupportOut": _SUPPORT,
    "TextPart": {"type": "text", "text": _QUESTION},
    "Turn": _TURN,
    "UrlCitation": _ANNOTATION["url_citation"],
    "UsageOut": _USAGE,
}

_REASONS = {
    400: "The body is not JSON.",
    401: "A token is needed.",
    404: "There is none.",
    408: "The request came too slowly.",
    409: "A rebuild is running.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    421: "Not a name of this server.",
    422: "The request does not fit.",
    500: "A fault of the server.",
    502: "There is no language model.",
    503: "There is no usable index, or too many questions wait.",
    504: "The answer took too long.",
    507: "The records are full.",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route as the docs page shows it. Fields are (name, type, required, description)."""

    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[tuple[str, str, bool, str], ...]
    fields: tuple[tuple[str, str, bool, str], ...]
    responses: tuple[tuple[str, str, str], ...]
    curl: str


def problems(*statuses: int, model: type[Problem] = Problem) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can end in these problems."""
    schema = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    return {
        status: {"description": _REASONS[status], "content": {"application/problem+json": schema}}
        for status in sorted({*statuses, 421, 500})
    }


def events() -> dict[str, Any]:
    """The `content` of a response that is a stream of `EVENTS`, as OpenAPI 3.2 describes server-sent events."""
    one = [
        {
            "type": "object",
            "required": ["event", "id", "data"],
            "properties": {
                "event": {"const": event.event},
                "id": {"type": "string"},
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {"$ref": f"#/components/schemas/{event.__name__}"},
                },
            },
        }
        for event in EVENTS
    ]
    return {"text/event-stream": {"itemSchema": {"oneOf": one}}}


def chunks() -> dict[str, Any]:
    """The `content` of a response that is a stream of `ChatChunk`."""
    data = {
        "type": "string",
        "description": "A chunk, or a problem; the last is `[DONE]`.",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": f"#/components/schemas/{ChatChunk.__name__}"},
    }
    one = {"type": "object", "required": ["data"], "properties": {"data": data}}
    return {"text/event-stream": {"itemSchema": one}}


def build_document(app: FastAPI) -> dict[str, Any]:
    """Make the document once per application."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        described: tuple[type[BaseModel], ...] = (Problem, *EVENTS, ChatChunk, ChatProblem)
        for model in described:
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
            for name, inner in {**schema.pop("$defs", {}), model.__name__: schema}.items():
                schemas.setdefault(name, inner)
        # The framework describes its own shape of errors, which no route here ever sends.
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for name, schema in schemas.items():
            schema["examples"] = [EXAMPLES[name]]
        app.openapi_schema = document
    return app.openapi_schema


def list_operations(document: dict[str, Any]) -> list[Operation]:
    """Every route of the document, in its order."""
    schemas = document["components"]["schemas"]
    return [
        _operation(method.upper(), path, item, schemas)
        for path, methods in document["paths"].items()
        for method, item in methods.items()
    ]


def _operation(method: str, path: str, item: dict[str, Any], schemas: dict[str, Any]) -> Operation:
    body = item.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    request = schemas.get(_name(body), {})
    return Operation(
        method=method,
        path=path,
        summary=item.get("summary", ""),
        description=item.get("description", ""),
        parameters=tuple(
            (
                p["name"],
                f"{_kind(p.get('schema', {}))}, in {p['in']}",
                p.get("required", False),
                p.get("description", ""),
            )
            for p in item.get("parameters", ())
        ),
        fields=_fields(request, schemas),
        responses=tuple(
            (status, response["description"], _shown(response, schemas))
            for status, response in sorted(item["responses"].items())
        ),
        curl=_curl(method, path, EXAMPLES.get(_name(body)), "security" in item),
    )


def _fields(
    schema: dict[str, Any], schemas: dict[str, Any], prefix: str = ""
) -> tuple[tuple[str, str, bool, str], ...]:
    """The fields of a body; those of an object inside it follow it as ``filters.publishers``."""
    required = schema.get("required", ())
    found: list[tuple[str, str, bool, str]] = []
    for name, field in schema.get("properties", {}).items():
        inner = _name(field) or _name(field.get("items", {}))
        found.append((prefix + name, _kind(field), name in required, field.get("description", "")))
        if inner in schemas:
            found += _fields(schemas[inner], schemas, f"{prefix}{name}{'.' if '$ref' in field else '[].'}")
    return tuple(found)


def _name(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _kind(schema: dict[str, Any]) -> str:
    """A short name of a schema's type with its bounds."""
    if "$ref" in schema:
        return "object"
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    low = schema.get("minimum", schema.get("minLength"))
    high = schema.get("maximum", schema.get("maxLength"))
    bounds = f" {low or 0:g}-{high:g}" if high is not None else ""
    return str(schema.get("format", schema.get("type", "any"))) + bounds


def _shown(response: dict[str, Any], schemas: dict[str, Any]) -> str:
    content = response.get("content", {}).get("application/json", {})
    name = _name(content.get("schema", {}))
    return json.dumps(EXAMPLES[name], indent=2, ensure_ascii=False) if name in schemas else ""


def _curl(method: str, path: str, body: Any, secured: bool) -> str:
    address = "http://127.0.0.1:8000" + path
    for name, example in (("{article_id}", _ID), ("{job_id}", "job_…"), ("{answer_id}", _ANSWER["id"])):
        address = address.replace(name, example)
    parts = [" ".join(["curl", *(["-X", method] if method != "GET" and body is None else []), address])]
    if secured:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if body is not None:
        parts.append(f"--json '{json.dumps(body)}'")
    return " \\\n  ".join(parts)
