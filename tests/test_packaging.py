"""What is installed is what was written: the wheel holds all it needs, and runs far away from the checkout."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import sysconfig
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands import plain_environment

ROOT = Path(__file__).parents[1]
QUESTION = "How many participants and countries were at the INTERPOL conference in Bucharest?"
EXPECTED = "They came from 52 countries"
HASHING = {"QA_EMBEDDING__BACKEND": "hashing", "QA_ANSWERS__MIN_CONFIDENCE": "0"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as an installer would."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)], folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


class Installed:
    """A virtual environment with the wheel, and an empty folder to run it in."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "empty"
        self.home.mkdir()
        self.bin = folder / "venv" / "bin"
        venv.create(folder / "venv", with_pip=False, symlinks=True)

    def __call__(self, *args: str, **environment: str) -> str:
        """Run a program of the environment in the empty folder; return its standard output."""
        return run([str(self.bin / args[0]), *args[1:]], self.home, environment)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment of its own that borrows the dependencies, and nothing else, from this one."""
    made = Installed(tmp_path_factory.mktemp("installed"))
    python = str(made.bin / "python")
    run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", str(wheel)])
    packages = Path(made("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # A folder named in a .pth file is searched last, and the .pth files inside it (an editable install) do not count.
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return made


def run(command: list[str], folder: Path | None = None, environment: dict[str, str] | None = None) -> str:
    clean = plain_environment({"PIP_DISABLE_PIP_VERSION_CHECK": "1", **(environment or {})})
    clean.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shipped(folder: str) -> set[str]:
    """What git knows of a folder, or all that lies in it where there is no git."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True, check=True)
        found = {name for name in listed.stdout.split("\0") if name}
    except (OSError, subprocess.CalledProcessError):
        found = set()
    return found or {str(p.relative_to(ROOT)) for p in (ROOT / folder).rglob("*") if p.is_file()}


def test_the_wheel_holds_the_code_the_scorer_the_pages_and_the_starter_corpus(names: set[str]) -> None:
    assert {"qa/py.typed", "qa/web/templates/chat.html", "qa/web/static/style.css", "qa/corpus/README.md"} <= names
    assert {"qa/scorers/model/scorer.onnx", "qa/scorers/model/README.md"} <= names
    for folder in ("web", "corpus"):
        assert {f"qa/{name}" for name in shipped(folder)} <= names
    assert {name.removeprefix("src/") for name in shipped("src/qa")} <= names


def test_the_wheel_holds_nothing_else(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {"qa", "sourceline-0.1.0.dist-info"}
    assert not [name for name in names if re.search(r"(^|/)(tests|eval|docs|index|\.git|__pycache__)(/|$)", name)]
    assert "sourceline-0.1.0.dist-info/licenses/LICENSE" in names


def test_the_code_runs_from_the_wheel(installed: Installed) -> None:
    where = installed(
        "python", "-c", "import qa, qa.resources as r; print(qa.__file__, r.web_folder(), qa.__version__)"
    )
    file, web, version = where.split()
    assert Path(file).is_relative_to(installed.bin.parent)
    assert Path(web) == Path(file).parent / "web"
    assert version == "0.1.0"
    assert installed("qa", "--version") == "sourceline 0.1.0\n"


def quotes(installed: Installed, index: str, **environment: str) -> list[str]:
    """Index the starter corpus, ask, and return what the answer cites."""
    report = json.loads(installed("qa", "index", "--starter", "--index", index, "--json", **environment))
    assert report["counts"]["articles"] == 70
    assert report["failed"] == []
    answer = json.loads(installed("qa", "ask", QUESTION, "--index", index, "--json", **environment))
    assert answer["status"] == "answered"
    return [citation["quote"] for citation in answer["citations"]]


def test_it_indexes_and_answers_in_an_empty_folder(installed: Installed) -> None:
    assert quotes(installed, "small", QA_PATHS__CACHE="cache", **HASHING)


@pytest.mark.model
def test_it_indexes_and_answers_with_the_real_model(installed: Installed) -> None:
    assert EXPECTED in "\n".join(quotes(installed, "real"))


@contextmanager
def serving(installed: Installed, *args: str, **environment: str) -> Iterator[str]:
    """The address of a running server, which must end well."""
    command = [str(installed.bin / "qa"), "serve", "--port", "0", *args]
    clean = plain_environment(environment)
    with subprocess.Popen(command, cwd=installed.home, env=clean, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            told = ""
            while not (found := re.search(r"http://127\.0\.0\.1:\d+/", told)):
                line = process.stderr.readline()
                assert line, f"it ended: {told}"
                told += line
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0


def test_it_serves_the_chat_with_its_style(installed: Installed) -> None:
    with serving(installed, "--index", "none", **HASHING) as address:
        with urllib.request.urlopen(address) as response:
            page = response.read().decode()
        assert "<title>" in page
        styles = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
        assert styles
        for path in (*styles, *re.findall(r'<script type="module" src="([^"]+)"', page)):
            with urllib.request.urlopen(address + path.lstrip("/")) as response:
                assert response.read()


@pytest.mark.slow
@pytest.mark.model
def test_a_clean_environment_installs_and_answers(wheel: Path, tmp_path: Path) -> None:
    """Every dependency from the package index, as a user would get it; nothing is borrowed."""
    made = Installed(tmp_path)
    python = str(made.bin / "python")
    run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", str(wheel)])
    assert Path(made("python", "-c", "import torch; print(torch.__file__)").strip()).is_relative_to(tmp_path)
    assert EXPECTED in "\n".join(quotes(made, "index", XDG_CACHE_HOME=str(tmp_path / "cache")))
