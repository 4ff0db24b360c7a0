"""A language model behind any OpenAI-compatible API: messages go in, the text of the reply comes out as it is written.

Nothing but this file talks to the network, and only to the address in the settings: no redirect is followed, no proxy
and no password is taken from the environment. Whatever the other side sends, `LanguageModelError` is the worst that
comes of it, within the deadline.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qa.errors import LanguageModelError, SettingsError
from qa.settings import LLMSettings, Settings

if TYPE_CHECKING:
    import httpx2  # at run time where a model is used: most starts can do without the time that it takes

__all__ = ["LanguageModel", "Message", "load_language_model"]

Message = Mapping[str, str]
"""`role` and `content`, as the API takes them."""

MAX_TEXT = 64 * 1024
"""Code points of a reply."""
MAX_WIRE = 2 * 1024 * 1024
"""Bytes of a reply with all that surrounds its text: an event a token, some hundred bytes each."""
_REFUSALS = {
    400: "it refused the request, as one that is too long or for a model that it does not have",
    401: "it did not accept the key",
    402: "its account has no credit left",
    403: "it did not accept the key",
    404: "it has no such model, or the address is not that of its API",
    413: "the request was too long for it",
    422: "it refused the request",
    429: "it takes no more requests at the moment, or its account has no credit left",
}
_LEFT_OUT = {1: "temperature and max_tokens", 2: "response_format or a limit of tokens"}
_CUT = {
    "length": "its reply reached llm.max_tokens, or the end of its context, too early",
    "content_filter": "a filter of its provider ended its reply",
}
_POLL_SECONDS = 0.1
_MAX_KEY_BYTES = 8192

_log = logging.getLogger(__name__)


def load_language_model(settings: Settings) -> LanguageModel | None:
    """Return the model that the settings name, None if they name none. Nothing is sent yet.

    Raises `SettingsError` for settings that do not go together.
    """
    given = settings.llm
    if not (given.base_url and given.model):
        for key, other in (("base_url", "model"), ("model", "base_url")):
            if getattr(given, key):
                raise SettingsError(f"llm.{key} is set and llm.{other} is not: a language model needs both")
        if settings.answers.answerer == "llm":
            raise SettingsError("answers.answerer is llm: set llm.base_url and llm.model, or take auto or extractive")
        return None
    if given.timeout_seconds + given.rewrite_seconds >= settings.server.timeout_seconds:
        more = f", llm.rewrite_follow_ups takes {given.rewrite_seconds:g} more," if given.rewrite_follow_ups else ""
        raise SettingsError(
            f"llm.timeout_seconds is {given.timeout_seconds:g}{more} and server.timeout_seconds is "
            f"{settings.server.timeout_seconds:g}: the language model needs the shorter time, so that an answer "
            "without it can still be given"
        )
    return LanguageModel(given, _key(given))


def _key(given: LLMSettings) -> str | None:
    if given.api_key is not None and given.api_key_file is not None:
        raise SettingsError("llm.api_key and llm.api_key_file are both set: keep one")
    key = given.api_key.get_secret_value() if given.api_key else None
    if given.api_key_file is not None:
        try:
            with given.api_key_file.open("rb") as file:
                key = file.read(_MAX_KEY_BYTES).decode("ascii")
        except OSError as error:
            raise SettingsError(f"cannot read llm.api_key_file {given.api_key_file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"llm.api_key_file {given.api_key_file} does not hold a key") from None
    key = key.strip() if key else None
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError("the key of the language model has characters that no header can carry")
    return key or None


class LanguageModel:
    """One model. Safe to use from several threads; `max_concurrent` requests at once, the others wait."""

    def __init__(self, settings: LLMSettings, key: str | None) -> None:
        import httpx2

        self.name = settings.model
        self.settings = settings
        self._address = f"{settings.base_url}/chat/completions"
        self._headers = {"Accept-Encoding": "identity", "Accept": "text/event-stream, application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._trusted: ssl.SSLContext | bool = (
            httpx2.create_ssl_context(trust_env=False) if settings.base_url.startswith("https:") else False
        )
        self._places = threading.BoundedSemaphore(settings.max_concurrent)
        self._form: int | None = None
        """Number of the first form of a request that the server accepted: earlier ones are not tried again."""

    def complete(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, Any],
        on_text: Callable[[str], None],
        alive: Callable[[], None],
        deadline: float,
    ) -> None:
        """Send the messages and hand each piece of the reply to `on_text`.

        `schema` is the JSON schema of the reply; a server that cannot hold to one is asked without it. `alive` is
        called several times a second. What either of the two raises ends the request and is raised here.
        `deadline` is in seconds of `time.monotonic`. Raises `LanguageModelError`.
        """
        while not self._places.acquire(timeout=_POLL_SECONDS):
            alive()
            if time.monotonic() >= deadline:
                raise LanguageModelError("it was busy with other questions")
        try:
            _run(_bounded(self._ask(messages, schema, on_text), alive, deadline))
        finally:
            self._places.release()

    async def _ask(
        self, messages: Sequence[Message], schema: Mapping[str, Any], on_text: Callable[[str], None]
    ) -> None:
        import httpx2

        plain: dict[str, Any] = {"model": self.name, "messages": list(messages), "stream": True}
        form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
        bodies = (
            {**plain, "temperature": 0, "max_tokens": self.settings.max_tokens, "response_format": form},
            # What OpenAI's models that reason take instead; they refuse the two fields above.
            {**plain, "max_completion_tokens": self.settings.max_tokens, "response_format": form},
            plain,
        )
        limits = httpx2.Timeout(None, connect=self.settings.connect_seconds)  # the deadline bounds the rest
        async with httpx2.AsyncClient(
            headers=self._headers, timeout=limits, trust_env=False, follow_redirects=False, verify=self._trusted
        ) as client:
            for number, body in [*enumerate(bodies)][self._form or 0 :]:
                async with client.stream("POST", self._address, json=body) as response:
                    status = response.status_code
                    if status in (400, 422) and body is not plain:
                        continue
                    if status != 200:
                        _log.warning("the language model failed: status %d", status)
                        raise LanguageModelError(f"{_REFUSALS.get(status, 'it failed')} (status {status})")
                    # Kept from then on: a later refusal is about that request, such as one that is too long.
                    if self._form is None:
                        self._form = number
                        if number:
                            _log.warning("the language model refuses %s: asked without", _LEFT_OUT[number])
                    async for text in _texts(response):
                        on_text(text)
                    return


async def _bounded(asking: Coroutine[Any, Any, None], alive: Callable[[], None], deadline: float) -> None:
    """Await a request until its deadline, or until `alive` raises. Raises `LanguageModelError`."""
    import httpx2

    working = asyncio.ensure_future(asking)
    try:
        while not working.done():
            left = deadline - time.monotonic()
            if left <= 0:
                raise LanguageModelError("it took too long")
            await asyncio.wait((working,), timeout=min(left, _POLL_SECONDS))
            alive()
        working.result()
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
        # The kind alone: a message can hold addresses, and parts of what was sent or received.
        _log.warning("the language model failed: %s", type(error).__name__)
        unreached = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
        raise LanguageModelError("it could not be reached" if unreached else "the connection broke") from None
    finally:
        working.cancel()
        await asyncio.wait((working,), timeout=1.0)
        if working.done() and not working.cancelled():
            working.exception()  # looked at, else the loop writes it to the log


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end in a loop of its own. Unlike `asyncio.run` it does not wait for a name that is still looked up."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _texts(response: httpx2.Response) -> AsyncIterator[str]:
    """The text of a reply, piece by piece from a stream of events, or whole. Raises `LanguageModelError`."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise LanguageModelError("its reply was compressed, which was not asked for")
    total = 0
    async for event, name in _events(response):
        text, cut = _content(event, name)
        total += len(text)
        if total > MAX_TEXT:
            raise LanguageModelError("its reply was too long")
        if text:
            yield text
        if cut:
            raise LanguageModelError(cut)


async def _events(response: httpx2.Response) -> AsyncIterator[tuple[Any, str]]:
    """The chunks of a stream, or the whole reply, each with the name of what holds its text. Raises as `_texts`."""
    streamed, whole = "text/event-stream" in response.headers.get("content-type", "").lower(), ""
    async for line in _lines(response):
        if not streamed:
            whole += line + "\n"
        elif line.startswith("data:"):
            data = line[len("data:") :].strip()
            if data == "[DONE]":
                return
            yield _parse(data), "delta"
    if not streamed:
        yield _parse(whole), "message"


async def _lines(response: httpx2.Response) -> AsyncIterator[str]:
    decode = codecs.getincrementaldecoder("utf-8")()
    size, rest = 0, ""
    try:
        async for data in response.aiter_raw():
            size += len(data)
            if size > MAX_WIRE:
                raise LanguageModelError("its reply was too long")
            *lines, last = decode.decode(data).replace("\r\n", "\n").split("\n")
            for line in lines:
                yield (rest + line).removeprefix("\ufeff").rstrip("\r")
                rest = ""
            rest += last
        yield (rest + decode.decode(b"", final=True)).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise LanguageModelError("its reply was not text in UTF-8") from None


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise LanguageModelError("its reply was not in the form of the API") from None


def _content(event: Any, name: str) -> tuple[str, str | None]:
    """The text of a chunk ("delta") or of a whole reply ("message"), empty where it has none, and what cut it off."""
    if not isinstance(event, dict) or event.get("error"):
        raise LanguageModelError("it reported an error")
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    said = first.get(name) if isinstance(first, dict) else None
    content = said.get("content") if isinstance(said, dict) else None
    reason = first.get("finish_reason") if isinstance(first, dict) else None
    return content if isinstance(content, str) else "", _CUT.get(reason) if isinstance(reason, str) else None
