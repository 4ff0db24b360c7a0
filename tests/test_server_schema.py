"""Generated requests over the whole OpenAPI document: no undocumented status, no body that breaks its schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from schemathesis import GenerationMode

from qa.engine import Engine
from qa.server import create_app
from qa.settings import Settings

TOKEN = "t0ken"
# 502 says that there is no language model; 413 that fields which fit one by one are too much together.
CHECKS = {
    "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", 502]},
    "positive_data_acceptance": {"expected-statuses": ["2xx", "3xx", 404, 409, 413, 502]},
    "negative_data_rejection": {"expected-statuses": [400, 401, 404, 405, 413, 415, 422]},
}
OPERATIONS = {
    "POST /v1/ask": 60,
    "POST /ask": 30,
    "POST /v1/search": 40,
    "POST /v1/chat/completions": 40,
    "GET /v1/models": 5,
    "GET /v1/articles/{article_id}": 40,
    "GET /v1/answers/{answer_id}": 30,
    "POST /v1/answers/{answer_id}/share": 20,
    "POST /v1/feedback": 40,
    "GET /v1/index": 5,
    "GET /livez": 5,
    "GET /readyz": 5,
    "POST /v1/index/rebuild": 10,
    "GET /v1/jobs/{job_id}": 20,
}


@pytest.fixture(scope="module")
def operations(engine: Engine, make_settings: Callable[..., Settings]) -> Iterator[dict[str, Any]]:
    """Every operation of the application over the small corpus, the admin routes included."""
    server = {"admin_token": TOKEN, "allowed_hosts": ["testserver"]}
    opened = Engine.open(make_settings(engine.settings.paths.index.parent, server=server))
    config = schemathesis.Config.from_dict({"checks": CHECKS})
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(opened, lambda: {"ok": True}), config=config)
    yield {operation.ok().label: operation.ok() for operation in schema.get_all_operations()}
    opened.close()


def test_no_operation_is_left_out(operations: dict[str, Any]) -> None:
    assert set(operations) == set(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfit"])
@pytest.mark.parametrize("label", OPERATIONS)
def test_the_api_is_as_it_says(operations: dict[str, Any], label: str, mode: GenerationMode) -> None:
    operation = operations[label]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.path_parameters):
        pytest.skip("takes nothing that could be unfit")
    headers = {"Authorization": f"Bearer {TOKEN}"} if "jobs" in label or "rebuild" in label else None

    @profile(max_examples=OPERATIONS[label], suppress_health_check=list(HealthCheck), database=None)
    @given(operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers)

    run()
