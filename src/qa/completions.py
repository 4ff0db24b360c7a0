"""What OpenAI's clients ask: a chat as a question with its history, an answer as a message with citations.

Every ``[n]`` in the message has an annotation that leads to the sentence: on the publisher's page where that is known,
else on this server. A refusal is a message too, without annotations.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import ValidationError

from qa.api import Api
from qa.contract import (
    MAX_QUESTION,
    MAX_TURNS,
    AnswerReply,
    AskRequest,
    ChatAnnotation,
    ChatChoice,
    ChatChunk,
    ChatDelta,
    ChatMessage,
    ChatMessageIn,
    ChatProblem,
    ChatReply,
    ChatRequest,
    ChatUsage,
    ChunkChoice,
    CitationOut,
    ModelOut,
    ModelsReply,
    ProblemField,
    Turn,
    UrlCitation,
)
from qa.guards import JsonRoute, while_connected
from qa.openapi import chunks, problems
from qa.problems import ProblemError
from qa.replies import new_id, written_citations
from qa.streaming import Reports, Stream, begin, failed, follow
from qa.types import Written

__all__ = ["MODEL", "Completions", "completion_routes"]

MODEL = "sourceline"
"""The only model."""
_LONGEST_TURN = 2000
"""Code points of an earlier message that are read."""
_MARKER = re.compile(r"\[[0-9]+\]")


class Completions:
    """The routes for OpenAI's clients."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def complete(self, asked: ChatRequest, request: Request) -> ChatReply | Response:
        """Answer a chat as OpenAI's `/v1/chat/completions` does: the last message of the user is the question.

        Messages of the system and sampling options are accepted and ignored: an answer is made of sentences from the
        articles. `annotations` lead to them. `GET /v1/answers/{answer_id}` gives the answer with all its fields.
        """
        if asked.model != MODEL:
            raise ProblemError("model-not-found")
        question = _question(asked.messages)
        base = str(request.base_url).rstrip("/")
        if not asked.stream:
            return _reply(await while_connected(request, self.api.answered(question)), base)
        answer_id = new_id("ans_")
        reports = follow(self.api.gate, partial(self.api.answer, question, answer_id))
        await while_connected(request, begin(reports))
        counted = bool(asked.stream_options and asked.stream_options.include_usage)
        return Stream(_stream(reports, answer_id, base, counted, request), reports)

    def models(self) -> ModelsReply:
        """What can be named as `model`; `created` is when the index was built."""
        built_at = self.api.engine.status().built_at
        created = int(datetime.fromisoformat(built_at).timestamp()) if built_at else 0
        return ModelsReply(data=[ModelOut(id=MODEL, created=created, owned_by=MODEL)])


def completion_routes(completions: Completions) -> APIRouter:
    """Every route for OpenAI's clients."""
    router = APIRouter(route_class=JsonRoute)
    router.add_api_route(
        "/v1/chat/completions",
        completions.complete,
        methods=["POST"],
        response_model=ChatReply,
        responses={200: {"content": chunks()}, **problems(400, 404, 408, 413, 415, 422, 503, 504, model=ChatProblem)},
        response_description="The answer, or a message that there is none.",
    )
    router.add_api_route(
        "/v1/models",
        completions.models,
        methods=["GET"],
        responses=problems(model=ChatProblem),
        response_description="The models.",
    )
    return router


def _question(messages: list[ChatMessageIn]) -> AskRequest:
    """The last message of the user, after what both said before. Raises `ProblemError`."""
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        raise _refused("/messages", "The last message of the user is the question; there is none.")
    said = [(message.role, _text(message)) for message in messages[:last]]
    history = [
        Turn(role=role, content=(text if role == "user" else _MARKER.sub("", text))[:_LONGEST_TURN])
        for role, text in said
        if role in ("user", "assistant")
    ]
    try:
        return AskRequest(question=_text(messages[last]), history=history[-MAX_TURNS:])
    except ValidationError:
        allowed = f"A question has 1 to {MAX_QUESTION:,} characters, and a letter or a digit among them."
        raise _refused(f"/messages/{last}/content", allowed) from None


def _refused(pointer: str, detail: str) -> ProblemError:
    return ProblemError("validation", detail, [ProblemField(pointer=pointer, detail=detail)])


def _text(message: ChatMessageIn) -> str:
    if isinstance(message.content, list):
        return "\n".join(part.text for part in message.content)
    return message.content or ""


class _Message:
    """The text of a message, sentence by sentence, and its annotations, which count in it."""

    def __init__(self, base: str) -> None:
        self.annotations: list[ChatAnnotation] = []
        self._base = base
        self._length = 0
        self._sentences = 0

    def add(self, sentence: str, citations: Iterable[CitationOut], titles: Mapping[str, str]) -> str:
        """Add a sentence and return what the text grew by; `titles` are those of the articles, by id."""
        text = " " * bool(self._sentences) + sentence
        for citation in citations:
            start, marker = self._length + len(text), f"[{citation.n}]"
            text += marker
            cited = UrlCitation(
                start_index=start,
                end_index=start + len(marker),
                title=titles[citation.article_id],
                url=citation.original_url or self._base + citation.url,
            )
            self.annotations.append(ChatAnnotation(type="url_citation", url_citation=cited))
        self._length += len(text)
        self._sentences += 1
        return text

    def rest(self, reply: AnswerReply) -> Iterator[str]:
        """Add the sentences that were not added yet, or that there is no answer."""
        if reply.not_found:
            yield self.add(" ".join([reply.not_found.message, *reply.not_found.suggestions]), [], {})
        citations = {citation.n: citation for citation in reply.citations}
        titles = {source.article_id: source.title for source in reply.sources}
        for segment in reply.answer.segments[self._sentences :]:
            yield self.add(segment.text, [citations[number] for number in segment.citations], titles)


def _usage(reply: AnswerReply) -> ChatUsage:
    used = reply.usage
    return ChatUsage(**dict(used), total_tokens=used.prompt_tokens + used.completion_tokens)


def _reply(reply: AnswerReply, base: str) -> ChatReply:
    message = _Message(base)
    content = "".join(message.rest(reply))
    choice = ChatChoice(message=ChatMessage(content=content, annotations=message.annotations))
    return ChatReply(id=reply.id, created=int(time.time()), model=MODEL, choices=[choice], usage=_usage(reply))


async def _stream(
    reports: Reports, answer_id: str, base: str, counted: bool, request: Request
) -> AsyncGenerator[bytes]:
    """Chunks of text as it is written, one with all annotations, one with the reason to end, and the usage if asked."""
    about: dict[str, Any] = {
        "id": answer_id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": MODEL,
    }

    def chunk(delta: ChatDelta | None, finish: str | None = None, usage: ChatUsage | None = None) -> bytes:
        choices = [] if delta is None else [ChunkChoice(index=0, delta=delta, finish_reason=finish)]
        more = {"usage": usage} if counted else {}
        made = ChatChunk(**about, choices=choices, **more)
        return format_sse_event(data_str=made.model_dump_json(exclude_unset=True))

    message = _Message(base)
    yield chunk(ChatDelta(role="assistant", content=""))
    try:
        async for report in reports:
            if report is None:
                yield KEEPALIVE_COMMENT
            elif isinstance(report, Written):
                titles = {article.id: article.title for article in report.articles}
                text = message.add(report.statement.text, written_citations(report), titles)
                yield chunk(ChatDelta(content=text))
            elif isinstance(report, AnswerReply):
                for text in message.rest(report):
                    yield chunk(ChatDelta(content=text))
                if message.annotations:
                    yield chunk(ChatDelta(annotations=message.annotations))
                yield chunk(ChatDelta(), "stop")
                if counted:
                    yield chunk(None, usage=_usage(report))
        yield format_sse_event(data_str="[DONE]")
    except Exception as error:  # noqa: BLE001 - the status has been sent: what went wrong can only be a chunk
        yield format_sse_event(data_str=failed(error, request.scope).model_dump_json())
