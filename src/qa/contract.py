"""The HTTP contract: request and response bodies of version 1. Inside ``/v1`` it only ever grows.

All offsets count Unicode code points and are half-open, as in `qa.types`. Request models are strict (no "8" for 8) and
refuse unknown fields, so that a misspelt option is an error and not a default.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from qa.types import Writer

__all__ = [
    "EVENTS",
    "AnswerCitation",
    "AnswerDelta",
    "AnswerReply",
    "AnswerText",
    "ArticleReply",
    "AskCompleted",
    "AskCreated",
    "AskFailed",
    "AskProgress",
    "AskRequest",
    "AskSources",
    "ChatAnnotation",
    "ChatChoice",
    "ChatChunk",
    "ChatDelta",
    "ChatMessage",
    "ChatMessageIn",
    "ChatProblem",
    "ChatReply",
    "ChatRequest",
    "ChatUsage",
    "ChunkChoice",
    "CitationOut",
    "ClientError",
    "ClosestOut",
    "ContextOut",
    "DatesOut",
    "EngineOut",
    "Event",
    "FeedbackReply",
    "FeedbackRequest",
    "FiltersIn",
    "FoundOut",
    "IndexReply",
    "JobReply",
    "LiveReply",
    "ModelOut",
    "ModelsReply",
    "NotFoundOut",
    "NoteOut",
    "PassageOut",
    "Problem",
    "ProblemField",
    "RangeOut",
    "ReadyReply",
    "ScoresOut",
    "SearchReply",
    "SearchRequest",
    "SegmentOut",
    "SentenceOut",
    "SharedReply",
    "ShortAnswerOut",
    "SourceOut",
    "StreamOptions",
    "SupportOut",
    "TextPart",
    "Turn",
    "UrlCitation",
    "UsageOut",
]

MAX_QUESTION = 2000
MAX_PASSAGES = 50
MAX_SENTENCES = 10
MAX_TURNS = 20
MAX_COMMENT = 1000


def _real_day(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a day of the calendar") from None
    return value


def _whole(value: object) -> object:
    # JSON has one kind of number: 8.0 is an integer there, and what some clients write.
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


Question = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_QUESTION,
        pattern=r"[\p{L}\p{N}]",
        description="The question, in plain words; it has a letter or a digit.",
    ),
]
Day = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", json_schema_extra={"format": "date"}),
    AfterValidator(_real_day),
]
AsOf = Annotated[
    Day | None,
    Field(description="The day that the question is asked on; by default today, or the newest article's day."),
]
Dates = Annotated[bool, Field(description="`false`: do not prefer articles from the time that the question calls for.")]
PassageCount = Annotated[int, Field(ge=1, le=MAX_PASSAGES), BeforeValidator(_whole)]
SentenceCount = Annotated[int, Field(ge=1, le=MAX_SENTENCES), BeforeValidator(_whole)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Names = Annotated[list[Name], Field(max_length=50)]


class Turn(_In):
    """One earlier turn of the conversation."""

    role: Literal["user", "assistant"] = Field(description="Who said it.")
    content: Annotated[str, Field(max_length=20_000)] = Field(description="What was said.")


class FiltersIn(_In):
    """Which articles may answer; what is left out admits all."""

    published_from: Day | None = Field(None, description="First day, ISO 8601.")
    published_to: Day | None = Field(None, description="Last day, ISO 8601, included.")
    publishers: Names = Field([], description="Outlets, compared without regard to case.")
    sections: Names = Field([], description="Sections, as `GET /v1/articles/{article_id}` gives them.")
    languages: Names = Field([], description="Language codes, such as `en`.")
    article_ids: Names = Field([], description="Only these articles.")


class AskRequest(_In):
    """A question. Only `question` is required."""

    question: Question
    stream: bool = Field(False, description="`true`: the answer comes as events, as with `Accept: text/event-stream`.")
    history: Annotated[list[Turn], Field(max_length=MAX_TURNS)] = Field(
        [], description="Earlier turns, oldest first; a question that depends on them is resolved."
    )
    filters: FiltersIn = Field(FiltersIn(), description="Which articles may answer.")
    top_k: PassageCount | None = Field(None, description="Passages to search in.")
    max_sentences: SentenceCount | None = Field(None, description="Longest answer.")
    as_of: AsOf = None
    dates: Dates = True
    answerer: Writer = Field(
        "auto",
        description="`extractive` quotes the articles, `llm` needs a language model; `auto`: as the server is set.",
    )
    include: Annotated[list[Literal["passages", "scores"]], Field(max_length=2)] = Field(
        [], description="`passages` adds the passages that were read, `scores` their ranks and scores."
    )


class SearchRequest(_In):
    """A search for passages."""

    question: Question
    filters: FiltersIn = Field(FiltersIn(), description="Which articles may be found.")
    top_k: PassageCount | None = Field(None, description="Passages at most.")
    as_of: AsOf = None
    dates: Dates = True


class ContextOut(_Out):
    """The sentence before the first source, to read the segment by; it is not part of the claim."""

    article_id: str
    sentence_id: str
    text: str


class SegmentOut(_Out):
    """One sentence of the answer; ``answer.text[start:end] == text``."""

    index: int
    start: int
    end: int
    text: str
    citations: list[int]
    context: ContextOut | None = None


class AnswerText(_Out):
    """The answer: plain, with ``[n]`` markers, and in segments joined by single spaces."""

    text: str
    text_with_markers: str
    segments: list[SegmentOut]


class SupportOut(_Out):
    """The outcome of the support check; `not_checked`: its rules do not hold for the language, nothing was verified."""

    label: Literal["supported", "not_checked"]
    score: float


class CitationOut(_Out):
    """One source sentence; the stored article text from `source_start` to `source_end` is `quote`.

    An answer that is given out again is compared with the index of now. `state` is `changed` when the article no longer
    has the quote in this place, and `gone` when it was removed: quote, title and addresses are then withheld. Only
    what is `current` and supported is `verified`; `support` is the check of the time of the answer.
    """

    n: int
    segments: list[int]
    article_id: str
    sentence_ids: list[str]
    quote: str
    source_start: int
    source_end: int
    quote_sha256: str
    verified: bool
    state: Literal["current", "changed", "gone"] = "current"
    support: SupportOut
    url: str
    original_url: str | None


class ShortAnswerOut(_Out):
    """The words that answer: `text` is the article text from `start` to `end`, inside the quote of `citation`."""

    text: str
    citation: int
    start: int
    end: int


class _ArticleFacts(_Out):
    article_id: str
    title: str
    publisher: str | None
    authors: list[str]
    url: str | None
    published_at: str | None
    modified_at: str | None
    section: str | None
    language: str | None
    content_sha256: str


class SourceOut(_ArticleFacts):
    """An article that is cited, and by which citations."""

    cited_by: list[int]
    duplicates: list[str]


class NoteOut(_Out):
    """Something a reader of the answer should know."""

    code: str
    message: str


class RangeOut(_Out):
    """Days of publication that were preferred, both included, and the words that called for them.

    `text` is null for the day that `as_of` gave, `published_from` where there is no beginning.
    """

    text: str | None
    published_from: str | None
    published_to: str


class DatesOut(_Out):
    """The time that the question called for; `given`: `as_of` came with the request."""

    as_of: str
    given: bool
    ranges: list[RangeOut]


class FoundOut(_Out):
    """An article that was read and is not cited; `url` leads to its best sentence."""

    article_id: str
    title: str
    publisher: str | None
    published_at: str | None
    url: str


class ClosestOut(_Out):
    """A sentence that came close; shown, never cited."""

    article_id: str
    title: str
    quote: str
    url: str
    score: float


class NotFoundOut(_Out):
    """Why nothing was answered, and what came closest."""

    reason: Literal["no_evidence", "low_confidence", "filtered_out", "empty_index"]
    message: str
    closest: list[ClosestOut]
    suggestions: list[str]


class EngineOut(_Out):
    """What answered, from which generation of the index; `answer_model` is the language model, null without one."""

    answerer: str
    answer_model: str | None
    embedding_model: str | None
    generation: int
    index_built_at: str | None
    articles: int | None
    passages: int | None


class UsageOut(_Out):
    """Tokens sent to and received from a language model, as counted here; 0 without one."""

    prompt_tokens: int
    completion_tokens: int


class ScoresOut(_Out):
    """Ranks are 1-based; null: not in that ranking. `recency`: how well the date fits the question's time, 0 to 1."""

    score: float
    dense_rank: int | None
    lexical_rank: int | None
    dense_score: float | None
    lexical_score: float | None
    recency: float


class PassageOut(_Out):
    """A run of whole sentences of one article that was read for the answer."""

    rank: int
    article_id: str
    title: str
    sentence_ids: list[str]
    source_start: int
    source_end: int
    text: str
    url: str
    scores: ScoresOut | None


class AnswerReply(_Out):
    """An answer in which every segment cites the sentences that say it, or the reason why there is none."""

    object: Literal["answer"] = "answer"
    id: str
    created_at: str
    question: str
    resolved_question: str | None = None
    status: Literal["answered", "partial", "not_found"]
    offset_unit: Literal["codepoint"] = "codepoint"
    answer: AnswerText
    short_answer: ShortAnswerOut | None
    citations: list[CitationOut]
    sources: list[SourceOut]
    also_found: list[FoundOut]
    not_found: NotFoundOut | None
    dates: DatesOut | None
    notes: list[NoteOut]
    follow_ups: list[str]
    engine: EngineOut
    usage: UsageOut
    timings_ms: dict[str, float]
    passages: list[PassageOut] | None


class SharedReply(_Out):
    """A shared answer: its page is at `url`, also after a restart."""

    object: Literal["shared_answer"] = "shared_answer"
    answer_id: str
    url: str


class FeedbackRequest(_In):
    """What a reader thinks of an answer, or of one of its citations."""

    answer_id: Annotated[str, Field(max_length=100)] = Field(description="The `id` of the answer.")
    rating: Literal["up", "down"] = Field(description="Whether it helped.")
    citation: Annotated[int, Field(ge=1), BeforeValidator(_whole)] | None = Field(
        None, description="The number of the citation that is meant; the whole answer without one."
    )
    reasons: Annotated[
        list[Literal["wrong", "not_in_source", "outdated", "missing_source", "unclear"]], Field(max_length=5)
    ] = Field([], description="What is wrong with it.")
    comment: Annotated[str, Field(max_length=MAX_COMMENT)] = Field("", description="In the reader's own words.")


class FeedbackReply(_Out):
    """The feedback was written down."""

    object: Literal["feedback"] = "feedback"
    id: str
    answer_id: str


class SearchReply(_Out):
    """Passages, best first."""

    object: Literal["search"] = "search"
    question: str
    resolved_question: str | None = None
    generation: int
    passages: list[PassageOut]
    dates: DatesOut | None
    notes: list[NoteOut]
    timings_ms: dict[str, float]


class SentenceOut(_Out):
    """One sentence as a slice of the article's text."""

    id: str
    index: int
    start: int
    end: int


class ArticleReply(_ArticleFacts):
    """An article with the stored text that every offset refers to."""

    object: Literal["article"] = "article"
    generation: int
    offset_unit: Literal["codepoint"] = "codepoint"
    text: str
    sentences: list[SentenceOut]


class IndexReply(_Out):
    """What the index holds."""

    object: Literal["index"] = "index"
    state: Literal["ready", "degraded", "unavailable"]
    reason: str | None
    generation: int | None
    built_at: str | None
    articles: int
    sentences: int
    passages: int
    newest: str | None
    oldest: str | None
    embedding_model: str | None
    publishers: list[str]


class JobReply(_Out):
    """A rebuild that was started over HTTP."""

    object: Literal["job"] = "job"
    id: str
    kind: Literal["rebuild"] = "rebuild"
    status: Literal["running", "succeeded", "failed"]
    created_at: str
    finished_at: str | None
    result: dict[str, Any] | None
    error: str | None


class LiveReply(_Out):
    """The process answers."""

    status: Literal["alive"] = "alive"


class ReadyReply(_Out):
    """Whether questions can be answered now."""

    status: Literal["ready", "degraded", "unavailable"]
    reasons: list[str]
    generation: int | None


class ProblemField(_Out):
    """One field that was refused, by JSON pointer into the request body."""

    pointer: str
    detail: str


class Problem(_Out):
    """An RFC 9457 problem document; `type` is a page that explains it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[ProblemField] = []


class Event(_Out):
    """One event of a streamed answer; `seq` counts from 1 and is the `id` of the event too."""

    event: ClassVar[str]
    seq: int


class AskCreated(Event):
    """The first event: what will be answered, and from which generation."""

    event = "ask.created"
    id: str
    question: str
    resolved_question: str | None
    generation: int


class AskProgress(Event):
    """What is being done, and how many articles, passages or sentences it is about, where that is known."""

    event = "ask.progress"
    stage: Literal["searching", "ranking", "writing", "checking"]
    message: str
    count: int | None
    elapsed_ms: float


class AskSources(Event):
    """The articles that are read, before the first text; the reply has those that are cited."""

    event = "ask.sources"
    sources: list[SourceOut]


class AnswerDelta(Event):
    """The next piece of the answer's text, and the segment that it belongs to. All of them joined are the text."""

    event = "answer.delta"
    segment: int
    text: str


class AnswerCitation(Event):
    """A citation of a segment, after all of the segment's text; `segments` has those that carry it so far."""

    event = "answer.citation"
    segment: int
    citation: CitationOut


class AskCompleted(Event):
    """The last event: the reply as it is without streaming."""

    event = "ask.completed"
    response: AnswerReply


class AskFailed(Event):
    """The last event when something went wrong on the way."""

    event = "ask.failed"
    problem: Problem


EVENTS: tuple[type[Event], ...] = (
    AskCreated,
    AskProgress,
    AskSources,
    AnswerDelta,
    AnswerCitation,
    AskCompleted,
    AskFailed,
)
"""Every event, in the order in which they come."""


class _Lenient(BaseModel):
    """What clients of other services send: fields that are not known here are ignored."""

    model_config = ConfigDict(strict=True)


class TextPart(_Lenient):
    """A part of a message; only text can be read."""

    type: Literal["text"]
    text: str


class ChatMessageIn(_Lenient):
    """A message of a chat, as OpenAI's clients send it."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"] = Field(
        description="Only what the user and the assistant said is read."
    )
    content: str | list[TextPart] | None = Field(None, description="Text, or a list of text parts.")


class StreamOptions(_Lenient):
    """How a chat is streamed."""

    include_usage: bool | None = Field(None, description="`true`: one more chunk with the tokens.")


class ChatRequest(_Lenient):
    """A chat, as OpenAI's clients send it. What else they send is ignored."""

    model: str = Field(description="`sourceline`.")
    messages: Annotated[list[ChatMessageIn], Field(min_length=1)] = Field(
        description="The last message of the user is the question; what was said before is its history."
    )
    stream: bool | None = Field(None, description="`true`: the answer comes in chunks.")
    stream_options: StreamOptions | None = Field(None, description="How it is streamed.")


class UrlCitation(_Out):
    """A cited sentence; `content[start_index:end_index]` is its marker, such as ``[1]``."""

    start_index: int
    end_index: int
    title: str
    url: str


class ChatAnnotation(_Out):
    """A citation, in the form that OpenAI's clients read."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class ChatMessage(_Out):
    """The answer with ``[n]`` markers, or the reason why there is none."""

    role: Literal["assistant"] = "assistant"
    content: str
    annotations: list[ChatAnnotation]


class ChatChoice(_Out):
    """The only choice."""

    index: Literal[0] = 0
    message: ChatMessage
    finish_reason: Literal["stop"] = "stop"


class ChatUsage(UsageOut):
    """Tokens of a language model, and their sum."""

    total_tokens: int


class ChatReply(_Out):
    """A whole answer; `id` is that of the answer, which ``GET /v1/answers/{answer_id}`` gives with all its fields."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage


class ChatDelta(_Out):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    annotations: list[ChatAnnotation] | None = None


class ChunkChoice(_Out):
    """The only choice of a chunk; `finish_reason` comes with the last one."""

    index: int
    delta: ChatDelta
    finish_reason: Literal["stop"] | None


class ChatChunk(_Out):
    """A piece of a streamed answer. `usage` comes only when asked for, and is null in all chunks but the last."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None


class ModelOut(_Out):
    """What can be named as `model`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelsReply(_Out):
    """Everything that can be named as `model`."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


class ClientError(_Out):
    """A problem in the form that OpenAI's clients read."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class ChatProblem(Problem):
    """A problem document for OpenAI's clients, too."""

    error: ClientError
