"""The command line: exit codes, what goes to which stream, and text that is never obeyed as markup or as codes."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import SETTINGS, Result, call, command, furnish, plain_environment, spawn
from llm.hostile import HONEST, hostile
from qa.embedders.hashing import HashingEmbedder
from qa.storage import IndexFolder

QUESTION = "How many turbines were replaced at the Oster Dam?"
UNKNOWN = "Which chess opening did the champion prefer?"
BLACKOUT = "How many customers lost power in the Ukraine blackout?"
"""A question on the starter corpus."""
CITED = "Engineers replaced 3 of the 8 turbines."
ESCAPE = "\x1b[31mred\x1b[0m\x07\x9b2J"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("QA_") or n in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: settings and the small corpus, no index."""
    monkeypatch.chdir(tmp_path)
    return furnish(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished folder with an index, to copy from."""
    folder = furnish(tmp_path_factory.mktemp("built"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call("index").code == 0
    return folder


@pytest.fixture
def indexed(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: settings, the small corpus and its index."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(folder: Path) -> None:
    """Change an article, so that a build makes another generation."""
    ferry = folder / "corpus" / "ferry.txt"
    ferry.write_text(ferry.read_text().replace("1,200", "1,300"))


def damage(path: Path) -> None:
    """Flip a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def refused(result: Result, code: int, *parts: str) -> None:
    """Nothing on stdout, one line on stderr that says what is wrong and the way out."""
    assert (result.code, result.out) == (code, "")
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("error: ")
    for part in parts:
        assert part in result.err


# Exit code 0


def test_a_first_day(home: Path) -> None:
    first = call("index")
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("built everything: first build\n6 added, 0 changed, 0 removed, 0 unchanged, 0 failed\n")
    assert "generation 1 built: 6 articles, 21 sentences, 6 passages" in first.out
    again = call("index")
    assert (again.code, again.err) == (0, "")
    assert again.out.startswith("0 added, 0 changed, 0 removed, 6 unchanged, 0 failed\ngeneration 1 is up to date")
    edit(home)
    assert "1 changed" in call("index").out
    assert call("verify").out == "generation 2 is whole: 6 articles, 21 sentences, 6 passages\n"
    assert call("rollback").out == "generation 1 is live\n"
    assert call("rollback", "--to", "2").out == "generation 2 is live\n"
    assert "built everything: asked for" in call("index", "--full").out


def test_an_answer_shows_each_quote_with_its_place(indexed: Path) -> None:
    answer = call("ask", QUESTION, "--max-sentences", "1")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[:5] == [
        f"{CITED}[1]",
        "",
        "[1] Oster Dam reopens after turbine fault",
        "    River Post, 2024-03-04 · dam.md · sentence 2",
        f"    “{CITED}”",
    ]
    assert re.fullmatch(r"generation 1 · embed \d+ · search \d+ · answer \d+ · verify \d+ · total \d+ ms", lines[-1])


def test_a_follow_up_shows_what_it_was_understood_as(indexed: Path) -> None:
    earlier = ("--after", "What is the Oster Dam?", "--after", "Where is it?")
    answer = call("ask", "How many of its turbines were replaced?", *earlier, "--max-sentences", "1")
    assert answer.out.startswith(f"Understood as: How many of the Oster Dam’s turbines were replaced?\n\n{CITED}[1]\n")
    assert "Understood as" not in call("ask", QUESTION, *earlier).out
    body = json.loads(call("ask", "How many of its turbines were replaced?", *earlier, "--json").out)
    assert body["resolved_question"] == "How many of the Oster Dam’s turbines were replaced?"


def test_the_asker_chooses_what_writes(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(call("ask", QUESTION, "--answerer", "llm"), 1, "no language model is set", "llm.base_url")
    with hostile() as stub:
        stub.behave = HONEST
        monkeypatch.setenv("QA_LLM__BASE_URL", stub.address)
        monkeypatch.setenv("QA_LLM__MODEL", "stub")
        monkeypatch.setenv("QA_LLM__MIN_CONFIDENCE", "0")
        for how, writes in (("auto", "llm"), ("llm", "llm"), ("extractive", "extractive")):
            answer = json.loads(call("ask", QUESTION, "--answerer", how, "--json").out)
            assert answer["engine"]["answerer"] == writes
        assert len(stub.requests) == 2
    assert call("ask", QUESTION, "--answerer", "somebody").code == 2


def test_search_shows_the_ranks(indexed: Path) -> None:
    found = call("search", QUESTION, "-k", "2")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("1. Oster Dam reopens after turbine fault\n   0.1818 (dense 1, lexical 1) · River Post")
    assert CITED in found.out
    assert "\n3. " not in found.out


def test_the_day_of_the_question_is_told_and_can_be_switched_off(indexed: Path) -> None:
    told = "Articles from about 29 February to 6 March 2024 (the day given) were preferred."
    for verb in ("ask", "search"):
        assert told in call(verb, QUESTION, "--as-of", "2024-03-06").out.splitlines()
        assert "preferred" not in call(verb, QUESTION).out
        assert "preferred" not in call(verb, QUESTION, "--as-of", "2024-03-06", "--no-dates").out
        refused(call(verb, QUESTION, "--as-of", "6 March"), 2, "not a day", "2026-01-31")
    assert {"code": "dates", "message": told} in json.loads(
        call("ask", QUESTION, "--as-of", "2024-03-06", "--json").out
    )["notes"]
    assert told in call("ask", "Which chess opening did the champion prefer?", "--as-of", "2024-03-06").out


def test_filters_choose_articles(indexed: Path) -> None:
    assert "Coast Courier" not in call("search", "Tuesday", "--publisher", "river post").out
    assert call("ask", QUESTION, "--from", "2024-03-05").code == 3
    assert call("ask", QUESTION, "--from", "2024-03-04", "--to", "2024-03-04").code == 0


def test_info_has_a_line_for_every_fact(indexed: Path) -> None:
    shown = call("info")
    assert (shown.code, shown.err) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    assert (facts["state"], facts["generation"], facts["articles"]) == ("ready", "1", "6")
    assert facts["publishers"] == "Coast Courier, River Post"
    assert (facts["paths.cache"], facts["embedding.backend"]) == ("cache", "hashing")


def test_info_hides_the_admin_token(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_SERVER__ADMIN_TOKEN", "s3cret-value")
    for shown in (call("info"), call("info", "--json")):
        assert "****" in shown.out
        assert "s3cret" not in shown.out


def test_info_answers_without_an_index_too(home: Path) -> None:
    shown = call("info")
    assert (shown.code, shown.err) == (0, "")
    assert re.search(r"^reason +no index in index yet: run `qa index`$", shown.out, re.M)


def test_the_starter_corpus_comes_along(home: Path) -> None:
    report = json.loads(call("index", "--starter", "--index", "elsewhere", "--json").out)
    assert report["counts"]["articles"] == 70
    assert (home / "elsewhere" / "CURRENT").is_file()
    assert not (home / "index").exists()


def test_flags_win_over_the_file(indexed: Path) -> None:
    (indexed / "index").rename(indexed / "other")
    assert call("ask", QUESTION).code == 4
    assert call("ask", QUESTION, "--index", "other").code == 0
    (indexed / "strict.toml").write_text(re.sub("min_confidence = .*", "min_confidence = 1", SETTINGS))
    assert call("ask", QUESTION, "--index", "other", "--config", "strict.toml").code == 3


@pytest.mark.parametrize("verb", [["index"], ["ask", QUESTION], ["search", QUESTION], ["info"], ["verify"]])
def test_json_is_one_object_and_nothing_else(indexed: Path, verb: list[str]) -> None:
    result = call(*verb, "--json")
    assert (result.code, result.err) == (0, "")
    assert isinstance(json.loads(result.out), dict)


def test_json_of_an_answer_is_the_body_of_the_api(indexed: Path) -> None:
    body = json.loads(call("ask", QUESTION, "--json", "--max-sentences", "1").out)
    assert (body["object"], body["status"], body["question"]) == ("answer", "answered", QUESTION)
    assert [c["quote"] for c in body["citations"]] == [CITED]
    assert body["engine"]["generation"] == 1


def test_json_of_rollback(indexed: Path) -> None:
    edit(indexed)
    call("index")
    assert json.loads(call("rollback", "--json").out) == {"generation": 1}


# Exit code 1


def test_two_builds_at_once(indexed: Path) -> None:
    with IndexFolder(indexed / "index").builder():
        refused(call("index"), 1, "another build is running", "try again")
        refused(call("rollback"), 1, "another build is running")
    assert call("index").code == 0


def test_without_a_corpus_folder_nothing_is_built(home: Path) -> None:
    (home / "corpus").rename(home / "moved")
    refused(call("index"), 1, "corpus: no such corpus folder", "set paths.corpus")


# Exit code 2


@pytest.mark.parametrize(
    "args",
    [["frob"], ["ask"], ["ask", "a", "b"], ["ask", "a", "-k", "0"], ["ask", "a", "-k", "x"], ["ask", "--frob", "a"]],
    ids=" ".join,
)
def test_usage(indexed: Path, args: list[str]) -> None:
    result = call(*args)
    assert (result.code, result.out) == (2, "")
    assert "Usage: " in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("question", ["", "   ", "?!…", "\x1b[\x07", "\u200b\u202e"], ids=ascii)
def test_a_question_without_words(indexed: Path, question: str) -> None:
    for verb in ("ask", "search"):
        refused(call(verb, "--", question), 2, "the question has no words")


@pytest.mark.parametrize("day", ["20240304", "2024-W10-1", "2024-3-4", "4 March", "2024-02-30", ESCAPE], ids=ascii)
def test_a_day_is_written_one_way(indexed: Path, day: str) -> None:
    for verb in ("ask", "search"):
        refused(call(verb, QUESTION, "--from", day), 2, "not a day", "2026-01-31")


def test_wrong_settings_are_named(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(call("ask", QUESTION, "--config", "none.toml"), 2, "none.toml")
    refused(call("serve", "--host", "0.0.0.0"), 2, "0.0.0.0", "server.admin_token")
    monkeypatch.setenv("QA_ANSWERS__MIN_CONFIDENSE", "1")
    refused(call("ask", QUESTION), 2, "did you mean QA_ANSWERS__MIN_CONFIDENCE")


# Exit code 3


def test_not_found_shows_what_came_closest(indexed: Path) -> None:
    result = call("ask", UNKNOWN)
    assert (result.code, result.err) == (3, "")
    assert result.out.startswith("No article here answers that")
    assert result.out.count("closest: ") == 1
    assert json.loads(call("ask", UNKNOWN, "--json").out)["status"] == "not_found"


def test_nothing_left_after_the_filters(indexed: Path) -> None:
    assert call("ask", QUESTION, "--publisher", "Nobody").out.startswith("No article is left after the filters.")
    result = call("search", QUESTION, "--publisher", "Nobody")
    assert (result.code, result.out) == (3, "Nothing found.\n")


# Exit code 4


@pytest.mark.parametrize("verb", [["ask", QUESTION], ["search", QUESTION], ["verify"], ["rollback"]], ids=" ".join)
def test_without_an_index_it_says_what_to_run(home: Path, verb: list[str]) -> None:
    refused(call(*verb), 4, "no index in index yet", "run `qa index`")


@pytest.mark.parametrize("setting", ["QA_ANSWERS__SCORER", "QA_SUPPORT__CROSS_ENCODER"])
def test_a_model_that_is_not_there_is_named(indexed: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(setting, "no-such-model")
    refused(call("ask", QUESTION), 4, "no model 'no-such-model'", "`hf download no-such-model`")


def test_a_support_check_that_cannot_be_measured_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_SUPPORT__CROSS_ENCODER", "all-MiniLM-L6-v2")
    refused(
        call("eval", "support"), 4, "support.cross_encoder: all-MiniLM-L6-v2 was saved as BertModel", "name a cross"
    )


def test_an_error_is_told_once_also_where_warnings_are_logged(home: Path) -> None:
    refused(spawn("ask", QUESTION, cwd=home), 4, "no index in index yet")


def test_nothing_to_roll_back_to(indexed: Path) -> None:
    refused(call("rollback"), 4, "no earlier generation")
    refused(call("rollback", "--to", "7"), 4, "no generation 7", "there are: 1")


def test_an_index_of_another_model(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = HashingEmbedder.__init__

    def renamed(self: HashingEmbedder) -> None:
        plain(self)
        self.fingerprint["model"] = "another"

    monkeypatch.setattr(HashingEmbedder, "__init__", renamed)
    for verb in (["ask", QUESTION], ["search", QUESTION], ["verify"]):
        refused(call(*verb), 4, "model hashing there, another here", "run `qa index --full`")
    assert "embedding.model: 'another' was 'hashing'" in call("index").out
    assert call("ask", QUESTION).code == 0


# Exit code 5


def test_bad_files_are_named_and_the_rest_is_built(home: Path) -> None:
    (home / "corpus" / "bad.json").write_text("{not json")
    (home / "corpus" / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    result = call("index")
    assert result.code == 5
    assert "6 added, 0 changed, 0 removed, 0 unchanged, 1 failed" in result.out
    assert [line.split(": ")[:2] for line in result.err.splitlines()] == [
        ["failed", "bad.json:1"],
        ["note", "1 files of other formats ignored"],
    ]
    report = call("index", "--json")
    assert (report.code, report.err) == (5, "")
    body = json.loads(report.out)
    assert [failed["path"] for failed in body["failed"]] == ["bad.json"]
    assert body["ignored"] == ["photo.jpg"]
    assert call("ask", QUESTION).code == 0


# Exit code 6


def test_damage_with_an_older_generation_to_fall_back_on(indexed: Path) -> None:
    edit(indexed)
    call("index")
    damage(indexed / "index" / "gen-000002" / "catalog.sqlite")
    answer = call("ask", "How many passengers had booked the ferry?")
    assert answer.code == 0
    assert "1,200" in answer.out
    assert answer.err.startswith("degraded: ")
    assert "catalog.sqlite" in answer.err
    assert "generation 1 answers" in answer.err
    assert len(answer.err.splitlines()) == 1
    checked = call("verify")
    assert checked.code == 6
    assert "catalog.sqlite" in checked.err
    assert call("index").code == 0
    assert call("verify").code == 0


def test_damage_with_nothing_to_fall_back_on(indexed: Path) -> None:
    damage(indexed / "index" / "gen-000001" / "catalog.sqlite")
    for verb in (["ask", QUESTION], ["search", QUESTION], ["verify"]):
        refused(call(*verb), 6, "catalog.sqlite", "run `qa index")
    assert call("index").code == 0
    assert call("ask", QUESTION).code == 0


# Exit code 130

# A shell without job control starts what runs in the background deaf to SIGINT, and so these tests, perhaps.
SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from qa.cli import main
from qa.embedders.hashing import HashingEmbedder
def embed(self, texts):
    print("embedding", file=sys.stderr, flush=True)
    time.sleep(60)
HashingEmbedder.embed_documents = embed
main()
"""


def test_interrupting_a_build_leaves_the_index_as_it_was(indexed: Path) -> None:
    (indexed / "corpus" / "new.txt").write_text("Bridge opens\n\nThe canal bridge at Lindau opened on Sunday.\n")
    build = [sys.executable, "-c", SLOW, "index"]
    with subprocess.Popen(build, env=plain_environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert process.stderr.readline() == b"embedding\n"
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=20)
        assert (code, process.stdout.read(), process.stderr.read()) == (130, b"", b"")
    assert IndexFolder(indexed / "index").generations() == [1]
    assert not list((indexed / "index").glob("*.tmp"))
    assert CITED in call("ask", QUESTION).out
    assert "1 added" in call("index").out


# Standard input, pipes and terminals


def test_a_dash_reads_standard_input(indexed: Path) -> None:
    assert CITED in call("ask", "-", stdin=QUESTION.encode()).out
    found = json.loads(call("search", "-", "--json", stdin=f"  {QUESTION}\n".encode()).out)
    assert found["question"] == QUESTION


@pytest.mark.parametrize(
    ("stdin", "message"),
    [(b"", "has no words"), (b"\xff\xfe\x00\x81" * 9, "has no words"), (b"why " * 1_000_000, "at most 2,000 can")],
    ids=["empty", "binary", "endless"],
)
def test_what_stdin_holds_may_be_anything(indexed: Path, stdin: bytes, message: str) -> None:
    refused(call("ask", "-", stdin=stdin), 2, message)


def test_a_pipe_gets_plain_text_whatever_its_encoding(indexed: Path) -> None:
    plain = spawn("ask", QUESTION, cwd=indexed, environment={"PYTHONIOENCODING": "ascii", "COLUMNS": "20"})
    assert (plain.code, plain.err) == (0, "")
    assert "\x1b" not in plain.out
    assert f"\\u201c{CITED}\\u201d" in plain.out, "a quote stays on one line and is not lost"


def test_a_reader_that_goes_away_is_no_error(indexed: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(command("info"), stdout=write, stderr=subprocess.PIPE, env=plain_environment())
    finally:
        os.close(write)
    assert done.stderr == b""
    assert done.returncode in (0, 1)


def add_hostile(folder: Path, **fields: str) -> None:
    article = {"title": "Zebra crossing", "text": "The zebra crossing is new.", "url": "https://news.example/zebra"}
    (folder / "corpus" / "hostile.json").write_text(json.dumps({**article, **fields}))


def on_terminal(*args: str, **environment: str) -> str:
    """Run the command on a terminal of its own; return all that it wrote there."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            command(*args), stdin=slave, stdout=slave, stderr=slave, env=plain_environment(environment)
        )
        os.close(slave)
        shown = b""
        try:
            while block := os.read(master, 65536):
                shown += block
        except OSError:  # how Linux says that the last writer is gone
            pass
        process.wait(timeout=20)
    finally:
        os.close(master)
    return shown.decode()


COLOURS = re.compile(r"\x1b\[[0-9;]*(?<![0-9])[34][0-9](?![0-9])[0-9;]*m")


def test_a_terminal_gets_colours_and_links(home: Path) -> None:
    add_hostile(home)
    call("index")
    shown = on_terminal("ask", "What is new about the zebra crossing?")
    assert COLOURS.search(shown)
    assert ";https://news.example/zebra\x1b\\" in shown


def test_a_terminal_that_wants_no_colours_gets_none(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert COLOURS.search(call("ask", QUESTION).out)
    monkeypatch.setenv("NO_COLOR", "1")
    assert CITED in call("ask", QUESTION).out
    assert not COLOURS.search(call("ask", QUESTION).out)


# Text is only ever text


def test_markup_in_an_article_is_printed_as_it_stands(home: Path) -> None:
    title = "[bold]Zebra[/] [link=https://evil.example]crossing[/link] [/]"
    text = "The zebra crossing [red]costs[/red] 400 [link=https://evil.example]euros[/link] [/nothing] \\[x] :smile:."
    add_hostile(home, title=title, text=text, publisher="[blink]Post[/]")
    assert call("index").code == 0
    for shown in (call("ask", "What does the zebra crossing cost?"), call("search", "zebra crossing", "-k", "1")):
        assert shown.code == 0
        assert title in shown.out
        assert text in shown.out
        assert "[blink]Post[/]" in shown.out


def test_markup_in_a_file_name_is_printed_as_it_stands(home: Path) -> None:
    name = "[bold red]x[/] [link=evil.example].json"
    path = home / "corpus" / name
    path.parent.mkdir()
    path.write_text("{")
    assert f"failed: {name}:1: " in call("index").err
    assert "[bold]nowhere[/]" in call("ask", QUESTION, "--index", "[bold]nowhere[/]").err


def test_a_terminal_is_never_given_codes_by_articles_names_or_questions(home: Path) -> None:
    add_hostile(home, title=f"Zebra {ESCAPE}", text=f"The zebra crossing {ESCAPE} costs 400 euros.\x1b]0;owned\x07")
    (home / "corpus" / f"{ESCAPE.replace('/', '')}.json").write_text("{")
    (home / "corpus" / "\u202etxt.json").write_text("{")
    shown = [
        call("index"),
        call("ask", "What does the zebra crossing cost?"),
        call("ask", "What does the zebra crossing cost?", "--json"),
        call("search", "zebra crossing"),
        call("search", f"zebra {ESCAPE}", "--json"),
        call("ask", QUESTION, "--index", ESCAPE),
        call("ask", QUESTION, "--config", ESCAPE),
        call("info", "--index", ESCAPE),
        call("info", "--index", ESCAPE, "--json"),
    ]
    for result in shown:
        everything = result.out + result.err
        assert everything
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", everything), ascii(everything)
    assert "\\x1b[31mred" in shown[0].err
    assert "zebra" in json.loads(shown[4].out)["question"]


def test_a_link_goes_only_where_a_browser_may(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    add_hostile(home, url="javascript:alert(1)")
    call("index")
    answer = call("ask", "What is new about the zebra crossing?")
    assert "Zebra crossing" in answer.out
    assert "\x1b]8;" not in answer.out


def test_names_that_are_no_text_are_no_traceback(indexed: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    for verb in (["ask", QUESTION], ["info"], ["info", "--json"], ["verify"], ["rollback"]):
        result = call(*verb, "--index", name)
        assert "caf\\" in result.out + result.err
    assert json.loads(call("search", "--json", f"turbines {name}").out)["passages"]
    assert spawn("info", "--index", name, cwd=indexed).code == 0


# What is loaded

LOADED = """
import sys
from qa.cli import main
try:
    main()
except SystemExit:
    pass
sys.stderr.write(",".join(sorted(sys.modules)))
"""


def modules_after(*args: str) -> set[str]:
    """Which top-level modules a command leaves loaded."""
    done = subprocess.run([sys.executable, "-c", LOADED, *args], capture_output=True, env=plain_environment())
    return {name.partition(".")[0] for name in done.stderr.decode().split(",")}


def test_help_starts_without_what_is_slow() -> None:
    heavy = {"torch", "numpy", "faiss", "onnxruntime", "pydantic", "fastapi", "uvicorn", "trafilatura", "sqlite3"}
    modules = modules_after("--help")
    assert "typer" in modules
    assert not modules & heavy


def test_asking_does_not_load_torch(indexed: Path) -> None:
    modules = modules_after("ask", QUESTION)
    assert "faiss" in modules
    assert not modules & {"torch", "transformers", "sentence_transformers", "onnxscript", "fastapi", "uvicorn"}


NO_NETWORK = """
import sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        sys.stderr.write(f"NETWORK {event} {args}\\n")
        raise SystemExit(99)
sys.addaudithook(refuse)
"""


def offline(folder: Path, *args: str, **environment: str) -> Result:
    """Run the command where it, and every Python that it starts, may not use the network."""
    (folder / "guard").mkdir(exist_ok=True)
    (folder / "guard" / "sitecustomize.py").write_text(NO_NETWORK)
    result = spawn(*args, cwd=folder, environment={"PYTHONPATH": str(folder / "guard"), **environment})
    assert "NETWORK" not in result.err
    return result


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of the starter corpus, made offline with the real model."""
    folder = tmp_path_factory.mktemp("real")
    assert offline(folder, "index", "--starter").code == 0
    return folder


@pytest.mark.model
def test_nothing_is_fetched(real: Path) -> None:
    assert offline(real, "ask", BLACKOUT).code == 0


@pytest.mark.model
def test_asking_the_real_model_does_not_load_torch(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(real)
    modules = modules_after("ask", BLACKOUT)
    assert "onnxruntime" in modules
    assert not modules & {"torch", "transformers", "sentence_transformers", "onnxscript", "fastapi", "uvicorn"}


@pytest.mark.model
@pytest.mark.slow
def test_nothing_is_fetched_to_prepare_the_model(tmp_path: Path) -> None:
    result = offline(tmp_path, "index", "--starter", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert result.code == 0
    assert result.err.startswith("preparing all-MiniLM-L6-v2")
