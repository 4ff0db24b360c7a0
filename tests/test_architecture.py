"""The shape of the code: which way imports point, and that each heavy package has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "qa"

LEVELS: list[set[str]] = [
    {"types", "errors", "resources"},
    {"protocols", "settings", "fusion", "metrics", "files"},
    {"sentences", "fragments", "times", "topics", "tokens", "llm", "postings", "manifest"}
    | {"readers", "embedders", "stores"},
    {"lexical", "storage"},
    {"chunks", "catalog", "facts", "assertions", "followups"},
    {"support", "scorers", "suggestions"},
    {"citations", "answerers", "entailment"},
    {"snapshot", "rewriting"},
    {"index", "retrieval"},
    {"engine"},
    {"watch", "gold", "contract", "cases"},
    {"replies", "problems", "report"},
    {"guards", "openapi", "jobs", "evaluation", "records", "export"},
    {"pages", "datasets", "streaming"},
    {"api"},
    {"site", "completions"},
    {"server"},
    {"cli"},
    {"__main__", "__init__"},
]
SEAMS = {"readers", "embedders", "stores", "scorers", "answerers", "datasets"}

HOMES = {
    "sentence_transformers": {"embedders/sentence_transformer.py", "scorers/cross_encoder.py"},
    "torch": {"embedders/export.py", "scorers/cross_encoder.py"},
    "onnxruntime": {"embedders/onnx.py", "embedders/export.py"},
    "faiss": {"stores/faiss.py", "stores/ivf.py"},
    "tiktoken": {"tokens.py"},
    "httpx2": {"llm.py"},
    "trafilatura": {"readers/html.py"},
    "yaml": {"readers/markdown.py"},
    "markdown_it": {"readers/markdown.py"},
    "dateparser": {"readers/dates.py"},
    "charset_normalizer": {"readers/decoding.py"},
    "watchfiles": {"watch.py"},
    "typer": {"cli.py"},
    "rich": {"cli.py"},
    "uvicorn": {"server.py", "guards.py"},
    "sqlite3": {"catalog.py", "embedders/cached.py"},
    "environ": {"settings.py"},
}
NEVER = {"pickle", "marshal", "shelve", "dill", "joblib", "requests", "urllib.request"}


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def module(path: Path) -> str:
    """The step that a file belongs to: its own name, or its seam's."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every imported module of a file, those for type checking included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "qa":
                yield from (f"qa.{alias.name}" for alias in node.names)


def level(name: str) -> int:
    return next(number for number, names in enumerate(LEVELS) if name in names)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    own = module(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "qa" or len(parts) == 1:
            continue
        other = parts[1]
        if other == "__version__" or (other == own and own in SEAMS):
            continue
        assert level(other) < level(own), f"{own} (level {level(own)}) imports {other} (level {level(other)})"


def test_every_file_has_its_level() -> None:
    known = set().union(*LEVELS)
    assert {module(path) for path in files()} <= known
    assert known - {module(path) for path in files()} == set(), "LEVELS names a file that is gone"


@pytest.mark.parametrize("package", HOMES)
def test_a_heavy_package_has_one_home(package: str) -> None:
    if package == "environ":
        found = {
            str(p.relative_to(SOURCE)) for p in files() if "os.environ" in p.read_text() or "getenv" in p.read_text()
        }
    else:
        found = {str(p.relative_to(SOURCE)) for p in files() if any(n.split(".")[0] == package for n in imports(p))}
    assert found <= HOMES[package]
    assert found, f"nothing imports {package}: take it off the list and out of pyproject.toml"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_nothing_that_can_run_loaded_data(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not NEVER & set(imports(path))
    for call in ("eval(", "exec(", "yaml.load(", "torch.load(", "allow_pickle=True", "shell=True", "|safe"):
        assert f" {call}" not in text and f"={call}" not in text, call


def test_nothing_prints_but_the_command_line() -> None:
    for path in files():
        calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
        names = {n.func.id for n in calls if isinstance(n.func, ast.Name)}
        assert "print" not in names or path.name == "cli.py", path
