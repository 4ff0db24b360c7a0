"""The documents say what the program does: every verb, route, setting, target and link, and the output that is shown.

Parts of README.md between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` are made here:

    python tests/test_docs.py

writes them anew; the tests compare.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from qa import cli, errors
from qa.embedders import load_embedder
from qa.engine import Engine
from qa.index import build_index
from qa.manifest import FORMAT
from qa.readers import MAX_FILE_BYTES, READERS
from qa.resources import starter_corpus
from qa.server import create_app
from qa.settings import Settings, load_settings, setting_keys
from test_architecture import LEVELS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
EXAMPLE = ROOT / "qa.toml.example"
DOCS = sorted((ROOT / "docs").glob("*.md"))
MODEL_CARD = ROOT / "src" / "qa" / "scorers" / "model" / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", MODEL_CARD, *DOCS]

QUESTION = "How many customers lost power in the Ukraine blackout?"
SHOWN = f'qa ask "{QUESTION}"'
BODY = {"question": QUESTION}
"""The question that the README shows the answer to, on the command line and over HTTP."""


# What the README shows


def verbs() -> dict[str, str]:
    """Every verb of the command line with its help."""
    return {
        command.name or command.callback.__name__: (command.callback.__doc__ or "").strip()
        for command in cli.app.registered_commands
        if command.callback
    }


def commands_table() -> str:
    rows = [f"| `qa {verb}` | {re.sub(r' Exit code.*$', '', text)} |" for verb, text in verbs().items()]
    return "\n".join(["| command | what it does |", "| --- | --- |", *rows])


def settings_table() -> str:
    rows = ["| key | default | what it is |", "| --- | --- | --- |"]
    for key, description in setting_keys().items():
        section, name = key.split(".")
        field = type(getattr(Settings(), section)).model_fields[name]
        if field.default_factory is not None:
            shown = "`~/.cache/sourceline`"  # the one default that depends on who runs it
        elif field.default in (None, (), ""):
            shown = "none"
        else:
            shown = f"`{field.default}`"
        rows.append(f"| `{key}` | {shown} | {description} |")
    return "\n".join(rows)


def routes() -> dict[tuple[str, str], str]:
    """Every route with its summary; those of the administrator too."""
    settings = load_settings({"server": {"admin_token": "x" * 32}, "paths": {"index": ROOT / "build" / "no-index"}})
    app = create_app(Engine(settings), dict)
    found: dict[tuple[str, str], str] = {("GET", "/openapi.json"): "The description of the API for programs."}
    for included in app.routes:
        for route in getattr(getattr(included, "original_router", None), "routes", []):
            assert isinstance(route, APIRoute)
            for method in sorted(route.methods):
                found[method, route.path] = (route.endpoint.__doc__ or "").strip().split("\n")[0]
    return found


def routes_table() -> str:
    rows = [f"| `{method} {path}` | {summary} |" for (method, path), summary in sorted(routes().items(), key=by_path)]
    return "\n".join(["| route | what it is |", "| --- | --- |", *rows])


def by_path(item: tuple[tuple[str, str], str]) -> tuple[bool, str]:
    """The API before the pages, each by path."""
    ((_, path), _) = item
    page = path in ("/", "/docs", "/openapi.json") or path.startswith(("/a/", "/articles", "/problems", "/status"))
    return page, path


def answer_block(home: Path) -> str:
    """The terminal output of the question, with the prompt."""
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(SHOWN)], cwd=home, capture_output=True, text=True, check=True
    )
    return f"```console\n$ {SHOWN}\n{done.stdout.rstrip()}\n```"


def api_block(home: Path) -> str:
    """The request, and of the reply what fits on a screen."""
    from starlette.testclient import TestClient

    engine = Engine.open(load_settings({"paths": {"index": home / "index"}}))
    try:
        with TestClient(create_app(engine), base_url="http://127.0.0.1:8000") as client:
            reply = client.post("/ask", json=BODY)
    finally:
        engine.close()
    assert reply.status_code == 200, reply.text
    shown = json.dumps(shortened(reply.json()), indent=2, ensure_ascii=False)
    shown = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: "[" + re.sub(r"\n\s+", " ", found[1]) + "]", shown)
    return f"```console\n$ curl -s http://127.0.0.1:8000/ask --json '{json.dumps(BODY)}'\n{shown}\n```"


def shortened(reply: dict[str, Any]) -> dict[str, Any]:
    """The fields that the README shows, in the order of the reply."""
    kept = {
        "status": (),
        "answer": ("text_with_markers",),
        "short_answer": (),
        "citations": (
            *("n", "segments", "article_id", "sentence_ids", "quote", "source_start", "source_end", "verified", "url"),
        ),
        "sources": ("title", "publisher", "published_at", "cited_by"),
        "engine": ("answerer", "embedding_model", "generation"),
    }  # fmt: skip
    return {name: _only(reply[name], fields) for name, fields in kept.items()}


def _only(value: Any, fields: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_only(entry, fields) for entry in value[:1]]
    return {name: value[name] for name in value if name in fields} if fields else value


def example_settings() -> str:
    """qa.toml.example: every key with its default, commented out; secrets and what depends on the user left out."""
    blocks = [
        "# Copy this to qa.toml in the folder where you run qa, and take the # off what you change.\n"
        "# Secrets belong into the environment: QA_SERVER__ADMIN_TOKEN, QA_LLM__API_KEY."
    ]
    for section, values in Settings().model_dump(mode="json").items():
        lines = [f"[{section}]"]
        for name, value in values.items():
            if name not in ("admin_token", "cache", "api_key", "api_key_file"):
                lines += [f"# {setting_keys()[f'{section}.{name}']}", f"#{name} = {json.dumps(value)}"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def trust_table() -> str:
    """What `make trust` measured, a column a data set, with 95 % intervals."""
    names = {"starter": "starter corpus", "swapped": "near misses on it", "realtimeqa": "news of 2023"}
    rows = {
        "cited.hit@3": "answer found: among the cited sentences, of the questions that an article answers",
        "citation.precision": "citation precision: cited sentences that bear the answer",
        "false_answer": "false answers: of the questions that no article answers",
        "false_refusal": "false refusals: of the questions that an article answers",
    }
    figures = json.loads((ROOT / "eval" / "trust.json").read_text())
    columns = {name: figures[dataset] for dataset, name in names.items() if dataset in figures}
    counts = [
        f"{found['about']['questions']} questions, {found['about']['articles']:,} articles"
        for found in columns.values()
    ]
    table = [("measured", *(f"{name} ({count})" for name, count in zip(columns, counts, strict=True)))]
    table.append(("---",) * len(table[0]))
    for metric, words in rows.items():
        cells = [found["metrics"][metric] for found in columns.values()]
        table.append((words, *(f"{short(m['value'])} ({short(m['low'])}-{short(m['high'])})" for m in cells)))
    table.append(("median time of an answer", *(f"{found['median_ms']:.0f} ms" for found in columns.values())))
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def support_table() -> str:
    """What `make trust` measured of the support check, a row a data set, with 95 % intervals."""
    sets = {
        "edits": "edited sentences of the starter corpus",
        "frank": "FRANK: machine summaries of news",
        "qags": "QAGS: summaries of BBC news in one sentence",
        "fever": "FEVER: claims on Wikipedia",
    }
    metrics = json.loads((ROOT / "eval" / "trust.json").read_text())["support"]["metrics"]
    rows = ["| measured | unfaithful ones that pass | faithful ones that are dropped |", "| --- | --- | --- |"]
    for source, words in sets.items():
        cells = [metrics[f"support.{name}.{source}"] for name in ("false_pass", "false_drop")]
        shown = [f"{short(m['value'])} ({short(m['low'])}-{short(m['high'])}) of {m['n']:,}" for m in cells]
        rows.append(f"| {words} | {' | '.join(shown)} |")
    return "\n".join(rows)


def short(share: float) -> str:
    """A share with two digits behind the point and none before it."""
    return f"{share:.2f}".removeprefix("0")


QUICK: dict[str, Callable[[], str]] = {
    "commands": commands_table,
    "settings": settings_table,
    "routes": routes_table,
    "trust": trust_table,
    "support": support_table,
}
WITH_MODEL: dict[str, Callable[[Path], str]] = {"answer": answer_block, "api": api_block}


def part(text: str, name: str) -> str:
    """What stands in the README between the marks of a part."""
    found = re.search(rf"<!-- begin {name} -->\n(.*?)\n<!-- end {name} -->", text, re.S)
    assert found, f"README.md has no part {name}"
    return found[1]


def without_times(block: str) -> str:
    """The block with the figures of its line of timings, and the generation's age, taken out."""
    return re.sub(r"(\w+) \d+(?= ·| ms)", r"\1 N", block)


def build_starter(home: Path) -> None:
    settings = load_settings({"paths": {"corpus": starter_corpus(), "index": home / "index"}})
    build_index(settings, load_embedder(settings.embedding, settings.paths.cache, prepare=True))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of the starter corpus, made with the real model and the default settings."""
    folder = tmp_path_factory.mktemp("readme")
    build_starter(folder)
    return folder


@pytest.mark.parametrize("name", QUICK)
def test_the_tables_of_the_readme_are_up_to_date(name: str) -> None:
    assert part(README.read_text(), name) == QUICK[name](), "run: python tests/test_docs.py"


@pytest.mark.model
@pytest.mark.parametrize("name", WITH_MODEL)
def test_the_output_in_the_readme_is_what_comes_out(name: str, home: Path) -> None:
    shown = without_times(part(README.read_text(), name))
    assert shown == without_times(WITH_MODEL[name](home)), "run: python tests/test_docs.py"


# Words about the program, both ways


def everything() -> str:
    return "\n".join(page.read_text() for page in PAGES)


def test_every_verb_in_the_documents_exists() -> None:
    named = set(re.findall(r"(?:^|`|\$ |\| )qa ([a-z]+)\b", everything(), re.M))
    assert named == set(verbs())


def test_every_option_in_the_documents_exists() -> None:
    text = (ROOT / "src" / "qa" / "cli.py").read_text()
    for line in re.findall(r"`(qa [a-z]+ [^`]*)`|^(?:\$ )?(qa [a-z]+ .*)$", everything(), re.M):
        for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", " ".join(line)):
            assert f'"{option}"' in text or option.removeprefix("--").replace("-", "_") in text, line


def test_every_exit_code_is_documented() -> None:
    documented = set(map(int, re.findall(r"(?:codes: |, |\n)(\d+) (?=[a-z])", cli.__doc__ or "")))
    assert set(map(int, re.findall(r"^\| (\d+) \|", README.read_text(), re.M))) == documented
    used = {kind.exit_code for name in errors.__all__ for kind in [getattr(errors, name)]}
    assert used | {0, cli.NO_ANSWER, cli.INPUTS_FAILED, cli.CHECK_FAILED, cli.INTERRUPTED} == documented


def test_every_make_target_is_documented_and_the_other_way_round() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)) - {"help"}
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)\b", everything(), re.M))
    assert named == targets


def test_every_route_in_the_documents_exists() -> None:
    known = {f"{method} {path}" for method, path in routes()}
    named = set(re.findall(r"`((?:GET|POST) /[^\s`?]*)", everything()))
    assert named == known


def test_every_setting_in_the_documents_exists() -> None:
    keys = setting_keys()
    sections = "|".join({key.split(".")[0] for key in keys})
    for key in re.findall(rf"`((?:{sections})\.(?!py`)[a-z_]+)`", everything()):
        assert key in keys
    for variable in re.findall(r"\bQA_[A-Z_]+\b", everything()):
        assert variable == "QA_CONFIG" or variable.removeprefix("QA_").lower().replace("__", ".") in keys, variable


def test_the_example_settings_are_the_defaults(tmp_path: Path) -> None:
    example = EXAMPLE.read_text()
    assert example == example_settings(), "run: python tests/test_docs.py"
    (tmp_path / "qa.toml").write_text(re.sub(r"^#(?=[a-z_]+ = )", "", example, flags=re.M))
    given = load_settings(config=tmp_path / "qa.toml")
    assert given.model_dump(exclude={"server"}) == Settings().model_dump(exclude={"server"})


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(page: Path) -> Iterator[str]:
    text = page.read_text()
    yield from re.findall(r"\]\(([^)\s]+)\)", text)
    yield from re.findall(r"(?:src|srcset)=\"([^\"]+)\"", text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, f"{page.name}: {link}"


def test_every_document_is_linked_from_the_readme() -> None:
    found = {(README.parent / link.partition("#")[0]).resolve() for link in links(README)}
    for document in (*PAGES[1:], ROOT / "LICENSE"):
        assert document in found, document


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_exists(page: Path) -> None:
    for name in re.findall(r"`((?:src/qa|tests|eval|docs|web)/[\w./-]+)`", page.read_text()):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`([a-z_]+\.py)`", page.read_text()):
        assert (ROOT / "src" / "qa" / name).exists() or list((ROOT / "tests").rglob(name)), name


def test_every_promise_names_tests_that_exist() -> None:
    promises = re.search(r"^## What it promises$(.*?)^## ", README.read_text(), re.M | re.S)
    assert promises
    rows = [line for line in promises[1].splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) >= 8
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for path, test in named:
            assert re.search(rf"^ *(?:async )?def {test}\(", (ROOT / path).read_text(), re.M), f"{path}::{test}"


def test_the_formats_are_those_of_the_readers() -> None:
    text = (ROOT / "docs" / "formats.md").read_text()
    assert set(re.findall(r"`(\.[a-z]+)`", text)) >= set(READERS)
    named = set(re.findall(r"\| `(\.[a-z]+)`(?:, `(\.[a-z]+)`)?", text))
    assert {suffix for pair in named for suffix in pair if suffix} == set(READERS)
    assert f"{MAX_FILE_BYTES:,}" in text


def test_the_levels_of_imports_are_those_that_are_tested() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.search(r"looks back: (.*?)\. `tests", text, re.S)
    assert listed
    named = [set(re.findall(r"`(\w+)`", level)) for level in listed[1].split("←")]
    assert [level & named for level, named in zip(LEVELS[:-1], named, strict=True)] == named
    assert set().union(*LEVELS[:-1]) - set().union(*named) <= {"tokens"}


def test_the_storage_page_names_the_format() -> None:
    assert f"format {FORMAT}" in (ROOT / "docs" / "storage.md").read_text()


def test_the_readme_begins_with_what_matters() -> None:
    screen = README.read_text().split("\n## ")[0]
    assert len(screen.splitlines()) < 60
    assert screen.count("badge") <= 4
    for needed in ("chat-light.png", "chat-dark.png", "make demo", "make test", SHOWN):
        assert needed in screen
    assert not re.search("[\U0001f300-\U0001faff]", everything())


def write() -> None:
    """Make every part of the README anew."""
    text = README.read_text()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        build_starter(home)
        made = {name: make() for name, make in QUICK.items()}
        made |= {name: make(home) for name, make in WITH_MODEL.items()}
    for name, block in made.items():
        begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + block + end + rest.partition(end)[2]
    README.write_text(text)
    EXAMPLE.write_text(example_settings())


if __name__ == "__main__":
    write()
