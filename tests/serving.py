"""The application on a port of this machine, in a thread, and its server-sent events as a client reads them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import uvicorn
from starlette.types import ASGIApp

from qa.guards import PatientProtocol


@contextmanager
def serving(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve until the end of the block, on this port or a free one; gives the address."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(app, http=PatientProtocol, ws="none", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "the server stops when told to"


class Sent(NamedTuple):
    """One event."""

    name: str
    id: str
    data: dict[str, Any]


def events(lines: Iterable[str]) -> Iterator[Sent]:
    """Read events as the HTML standard says: fields to the blank line, comments left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Sent(fields["event"], fields["id"], json.loads(fields["data"]))
            fields = {}
    assert not fields.get("data"), "the last event is complete"
