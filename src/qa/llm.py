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
        self._plain = False
        """Whether the server has refused what is not in every server, and accepted a request without it."""

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
        full = {
            **plain,
            "temperature": 0,
            "max_tokens": self.settings.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": schema},
            },
        }
        limits = httpx2.Timeout(None, connect=self.settings.connect_seconds)  # the deadline bounds the rest
        async with httpx2.AsyncClient(
            headers=self._headers, timeout=limits, trust_env=False, follow_redirects=False, verify=self._trusted
        ) as client:
            for body in [plain] if self._plain else [full, plain]:
                async with client.stream("POST", self._address, json=body) as response:
                    if response.status_code in (400, 422) and body is full:
                        continue
                    if response.status_code != 200:
                        _log.warning("the language model failed: status %d", response.status_code)
                        raise LanguageModelError(f"it answered with status {response.status_code}")
                    self._plain = body is plain
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
    streamed = "text/event-stream" in response.headers.get("content-type", "").lower()
    total, whole = 0, ""
    async for line in _lines(response):
        if not streamed:
            whole += line + "\n"
            continue
        if line == "data: [DONE]":
            return
        if line.startswith("data:"):
            text = _content(_parse(line[len("data:") :]), "delta")
            total += len(text)
            if total > MAX_TEXT:
                raise LanguageModelError("its reply was too long")
            if text:
                yield text
    if not streamed:
        text = _content(_parse(whole), "message")
        if len(text) > MAX_TEXT:
            raise LanguageModelError("its reply was too long")
        yield text


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


def _content(event: Any, name: str) -> str:
    """The text of a chunk ("delta") or of a whole reply ("message"); empty where it has none."""
    if not isinstance(event, dict) or event.get("error"):
        raise LanguageModelError("it reported an error")
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    said = first.get(name) if isinstance(first, dict) else None
    content = said.get("content") if isinstance(said, dict) else None
    return content if isinstance(content, str) else ""
