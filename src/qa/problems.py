"""What can go wrong over HTTP: one problem per slug, each with a page that explains it (RFC 9457).

No problem ever repeats what the client sent: a body may hold text that cannot be encoded again, and secrets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from qa import errors
from qa.contract import ChatProblem, ClientError, Problem, ProblemField

__all__ = ["KINDS", "Kind", "ProblemError", "Trouble", "describe", "problem_body", "problem_response", "trouble_for"]

MEDIA_TYPE = "application/problem+json"
CHAT_PATHS = ("/v1/chat/completions", "/v1/models")
"""Where OpenAI's clients ask: problems have an `error` for them there."""
_RETRY_SECONDS = 5
_WORDED = "Ask in words: a question has a letter or a digit."
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the catalogue of problems."""

    slug: str
    status: int
    title: str
    advice: str


KINDS: dict[str, Kind] = {
    kind.slug: kind
    for kind in (
        Kind("malformed-json", 400, "The body is not JSON", "Send one JSON object in UTF-8, without NaN or Infinity."),
        Kind("unauthorized", 401, "A token is needed", "Send the admin token as `Authorization: Bearer …`."),
        Kind("not-found", 404, "No such page", "The routes are listed at /docs."),
        Kind("article-not-found", 404, "No such article", "It was removed, or the link is from another index."),
        Kind(
            "answer-not-found",
            404,
            "No such answer",
            "Answers are remembered until the server restarts; a shared one stays.",
        ),
        Kind("model-not-found", 404, "No such model", "Use the model `sourceline`."),
        Kind("method-not-allowed", 405, "Not with this method", "The `Allow` header names the methods of this path."),
        Kind("request-timeout", 408, "The request came too slowly", "Send the whole request within ten seconds."),
        Kind("rebuild-running", 409, "A rebuild is running", "Wait for it to finish: one runs at a time."),
        Kind("payload-too-large", 413, "The body is too large", "A request body may have 64 kB."),
        Kind("unsupported-media-type", 415, "Not declared as JSON", "Send `Content-Type: application/json`."),
        Kind(
            "host-not-allowed",
            421,
            "Not a name of this server",
            "Use 127.0.0.1 or localhost, or add the name to `server.allowed_hosts`.",
        ),
        Kind("validation", 422, "The request does not fit", "`errors` names each field; /docs shows what is expected."),
        Kind("internal", 500, "Something went wrong here", "The server's log has the details under the request id."),
        Kind("llm-unavailable", 502, "No language model", "Leave `answerer` out for answers without one."),
        Kind("index-not-ready", 503, "No index yet", "Put articles into the corpus folder and run `qa index`."),
        Kind("index-damaged", 503, "The index is damaged", "Run `qa index`; the articles themselves are untouched."),
        Kind("index-mismatch", 503, "The index was made with other settings", "Run `qa index --full`."),
        Kind("model-unavailable", 503, "A model cannot be used", "The `detail` names the file or setting."),
        Kind("overloaded", 503, "Too many questions at once", "Ask again after the seconds in `Retry-After`."),
        Kind(
            "records-full",
            507,
            "Nothing more can be kept",
            "Move `feedback.jsonl`, or answers that nobody needs, out of the folder `paths.records`.",
        ),
        Kind("timeout", 504, "The answer took too long", "Ask again, or ask for fewer passages (`top_k`)."),
    )
}

_BY_STATUS = {
    400: "malformed-json",
    401: "unauthorized",
    404: "not-found",
    405: "method-not-allowed",
    413: "payload-too-large",
    415: "unsupported-media-type",
}

_BY_ERROR: tuple[tuple[type[errors.QAError], str], ...] = (
    (errors.IndexMissing, "index-not-ready"),
    (errors.IndexMismatch, "index-mismatch"),
    (errors.IndexDamaged, "index-damaged"),
    (errors.ModelError, "model-unavailable"),
    (errors.LanguageModelError, "llm-unavailable"),
    (errors.ArticleNotFound, "article-not-found"),
    (errors.IndexBusy, "rebuild-running"),
    (errors.QuestionError, "validation"),
)


class ProblemError(Exception):
    """A request ends with the problem `slug`."""

    def __init__(
        self, slug: str, detail: str | None = None, fields: Sequence[ProblemField] = (), retry_after: int | None = None
    ) -> None:
        self.trouble = describe(slug, detail, fields, retry_after)
        super().__init__(self.trouble.detail)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem before it is tied to a request."""

    kind: Kind
    detail: str
    fields: tuple[ProblemField, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


def describe(
    slug: str, detail: str | None = None, fields: Sequence[ProblemField] = (), retry_after: int | None = None
) -> Trouble:
    """Make a problem of the catalogue; its advice is the detail unless there is a better one."""
    kind = KINDS[slug]
    headers = {}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if kind.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
        headers["Connection"] = "close"  # else the server reads on to the end of a body that nobody wants
    if kind.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Trouble(kind, detail or kind.advice, tuple(fields), tuple(headers.items()))


def trouble_for(error: Exception) -> Trouble:
    """The problem that an exception stands for; what is not known is `internal` and says nothing about itself."""
    if isinstance(error, ProblemError):
        return error.trouble
    if isinstance(error, RequestValidationError):
        return _refused_fields(error)
    if isinstance(error, HTTPException):
        return _from_status(error)
    if isinstance(error, errors.QAError):
        return _from_qa(error)
    return describe("internal")


def problem_body(trouble: Trouble, scope: Scope) -> Problem:
    """The problem document of one request."""
    problem = Problem(
        type=f"/problems/{trouble.kind.slug}",
        title=trouble.kind.title,
        status=trouble.kind.status,
        detail=trouble.detail,
        instance=_instance(scope),
        request_id=str(scope.get("state", {}).get("request_id", "")),
        errors=list(trouble.fields),
    )
    if scope["path"] not in CHAT_PATHS:
        return problem
    error = ClientError(
        message=trouble.detail,
        type="server_error" if trouble.kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error",
        param=trouble.fields[0].pointer if trouble.fields else None,
        code=trouble.kind.slug.replace("-", "_"),
    )
    return ChatProblem(**dict(problem), error=error)


def problem_response(trouble: Trouble, scope: Scope) -> Response:
    """The problem document of one request as its response."""
    body = problem_body(trouble, scope)
    return JSONResponse(body.model_dump(), trouble.kind.status, dict(trouble.headers), MEDIA_TYPE)


def _instance(scope: Scope) -> str:
    """The matched path as the client wrote it, or ``/``: a path that matches nothing is only an echo."""
    route = scope.get("route")
    raw: bytes = scope.get("raw_path") or b"/"
    return raw.decode("ascii", "replace").partition("?")[0][:300] if route is not None else "/"


def _from_qa(error: errors.QAError) -> Trouble:
    slug = next((slug for kind, slug in _BY_ERROR if isinstance(error, kind)), "internal")
    if slug == "validation":
        return describe(slug, "The question was refused.", [ProblemField(pointer="/question", detail=_WORDED)])
    if slug in ("internal", "article-not-found"):
        return describe(slug)
    return describe(slug, str(error), retry_after=_RETRY_SECONDS if KINDS[slug].status == 503 else None)


def _from_status(error: HTTPException) -> Trouble:
    slug = _BY_STATUS.get(error.status_code)
    if slug is None and 400 <= error.status_code < 500:
        phrase = HTTPStatus(error.status_code).phrase
        return Trouble(Kind("not-found", error.status_code, phrase, phrase), phrase)
    trouble = describe(slug or "internal")
    return Trouble(trouble.kind, trouble.detail, (), (*trouble.headers, *(error.headers or {}).items()))


def _refused_fields(error: RequestValidationError) -> Trouble:
    problems = error.errors()
    if any(problem["type"] == "json_invalid" for problem in problems):
        return describe("malformed-json")
    fields = [
        ProblemField(
            pointer=_pointer(problem["loc"], problem["type"]),
            detail=_explain(problem["type"], problem["loc"], problem["msg"]),
        )
        for problem in problems[:20]
    ]
    count = len(problems)
    return describe("validation", f"{count} field{'s were' if count > 1 else ' was'} refused.", fields)


def _pointer(location: Sequence[int | str], kind: str) -> str:
    """A JSON pointer into the body. An unknown field is named only if its name is a plain word."""
    steps = [str(step) for step in location[1:]]
    if kind == "extra_forbidden" and not _PLAIN_NAME.fullmatch(steps[-1]):
        steps = steps[:-1]
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def _explain(kind: str, location: Sequence[int | str], message: str) -> str:
    if kind == "string_pattern_mismatch":  # a regular expression is no explanation
        return _WORDED if location[-1] == "question" else "Write the day as 2026-10-02."
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return text[:1].upper() + text[1:].rstrip(".") + "."
