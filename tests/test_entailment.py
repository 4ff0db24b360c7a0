"""A cross-encoder behind the rules: what it may drop, what it is never asked; where it fails, nothing passes."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
)

from llm.hostile import Hostile, hostile, items, says
from llm.safety import check_reply
from qa.datasets import Request, evaluate_dataset
from qa.engine import Engine
from qa.entailment import MOST_READ, CrossEncoderEntailment, load_support_check
from qa.errors import ModelError
from qa.protocols import SupportCheck
from qa.server import create_app
from qa.settings import Settings, SupportSettings
from qa.support import check_support
from qa.types import Article, Sentence, Statement, Support
from scorers.samples import PACKAGED, make_cross_encoder, save_tokenizer
from serving import events

REFUSED = "again"
"""The one word of which the models made here believe nothing."""
CERTAIN = 3.0
"""Their logit for every other pair; less of it for a pair with that word."""
YES, NO = 1 / (1 + math.exp(-CERTAIN)), 1 / (1 + math.exp(CERTAIN))
NLI = ("contradiction", "Entailment", "neutral")


def make_model(folder: Path, labels: Sequence[str] = ("LABEL_0",), *, reads: int = 512) -> str:
    """Save a BERT whose outcome is known: `CERTAIN` for entailment, or its negative where the pair has `REFUSED`.

    Its one layer adds the mean of all pieces to each; there every other piece is (1, -1, 0, 0), and `REFUSED` shouts in
    (0, 0, 1, -1), so that the mark which the head looks at is the one or the other.
    """
    sizes = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 4}
    model = BertForSequenceClassification(BertConfig(id2label=dict(enumerate(labels)), **sizes))
    own = next((place for place, label in enumerate(labels) if label.casefold() == "entailment"), 0)
    (piece,) = AutoTokenizer.from_pretrained(PACKAGED)(REFUSED, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        for name, values in model.named_parameters():
            if not name.endswith("LayerNorm.weight"):
                values.zero_()
        bert, layer = model.bert, model.bert.encoder.layer[0]
        bert.embeddings.word_embeddings.weight[:] = torch.tensor([1.0, -1, 0, 0])
        bert.embeddings.word_embeddings.weight[piece] = torch.tensor([0.0, 0, 1, -1])
        layer.attention.self.value.weight[:] = torch.diag(torch.tensor([0.0, 0, 1e9, 1e9]))
        layer.attention.output.dense.weight[:] = torch.eye(4)
        bert.pooler.dense.weight[:] = 10 * torch.eye(4)
        model.classifier.weight[own] = torch.tensor([CERTAIN, 0, -CERTAIN, 0])
    model.save_pretrained(folder)
    save_tokenizer(folder, model_max_length=reads)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


@contextmanager
def passes() -> Iterator[list[object]]:
    """Collect every run of a model while this is open."""
    ran: list[object] = []

    def note(module: torch.nn.Module, *_: object) -> None:
        if isinstance(module, BertModel):
            ran.append(module)

    hook = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        yield ran
    finally:
        hook.remove()


@contextmanager
def breaking() -> Iterator[None]:
    """Have every run of a model fail as a device does that has no memory left."""

    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    hook = torch.nn.modules.module.register_module_forward_pre_hook(fail)
    try:
        yield
    finally:
        hook.remove()


def load(name: str, least: float = 0.5) -> SupportCheck:
    return load_support_check(SupportSettings(cross_encoder=name, min_entailment=least))


def check(how: SupportCheck, statement: str, *sources: str, language: str = "en", publisher: str = "") -> Support:
    article = Article("a", "", " ".join(sources), publisher=publisher, language=language)
    cited, start = [], 0
    for index, source in enumerate(sources):
        cited.append(Sentence("a", index, start, start + len(source), source))
        start += len(source) + 1
    return how(Statement(statement, tuple(cited)), {"a": article})


# What a pair is worth


@pytest.mark.parametrize("labels", [("LABEL_0",), NLI, ("entailment", "not_entailment")], ids=len)
def test_a_probability_is_that_of_the_models_own_files(tmp_path: Path, labels: tuple[str, ...]) -> None:
    entails = CrossEncoderEntailment(name := make_cross_encoder(tmp_path, labels))
    plain, tokenizer = AutoModelForSequenceClassification.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    texts = ["The dam was opened on Monday.", "Kovac paid 12 million euros.", "ø " * 40, "\ud800"]
    found = set()
    for premise in texts:
        for statement in texts:
            pair = [text.encode("utf-8", "replace").decode() for text in (premise, statement)]
            with torch.inference_mode():
                logits = plain(**tokenizer(*pair, return_tensors="pt")).logits[0].double()
            expected = logits.sigmoid()[0] if len(labels) == 1 else logits.softmax(0)[labels.index(_entailment(labels))]
            found.add(entails(premise, statement))
            assert entails(premise, statement) == pytest.approx(expected.item(), abs=1e-5)
    assert len(found) > 12, "premise and statement are told apart"


def _entailment(labels: Sequence[str]) -> str:
    return next(label for label in labels if label.casefold() == "entailment")


def test_the_model_made_here_does_what_it_is_said_to_do(model: str, tmp_path: Path) -> None:
    entails = CrossEncoderEntailment(model)
    assert entails("The dam opened.", "It did.") == pytest.approx(YES, abs=1e-6)
    assert entails("The dam opened. " * 20, f"It {REFUSED} did.") == pytest.approx(NO, abs=1e-6)
    labelled = CrossEncoderEntailment(make_model(tmp_path, NLI))
    assert labelled("The dam opened.", "It did.") == pytest.approx(math.exp(CERTAIN) / (math.exp(CERTAIN) + 2))


# Rules and model


SAYS = "Kovac opened the old dam on Monday."
VERBATIM = SAYS
KEPT = "On Monday Kovac opened the old dam."
"""The rules let it pass."""
CHANGED = "On Tuesday Kovac opened the old dam."
NEW = "On Monday Kovac inaugurated a barrage."
MATRIX: list[tuple[str, str, Support]] = [
    (SAYS, VERBATIM, Support("supported", 1.0)),
    (f"{REFUSED} {SAYS}", f"{REFUSED} {SAYS}", Support("supported", 1.0)),
    (SAYS, KEPT, Support("supported", YES)),
    (f"{SAYS[:-1]} {REFUSED}.", f"{KEPT[:-1]} {REFUSED}.", Support("unsupported", 0.0, "entailment")),
    (SAYS, CHANGED, Support("unsupported", 0.0, "date")),
    (f"{SAYS[:-1]} {REFUSED}.", CHANGED, Support("unsupported", 0.0, "date")),
    (SAYS, NEW, Support("unsupported", 0.0, "words")),
    (f"{SAYS[:-1]} {REFUSED}.", NEW, Support("unsupported", 0.0, "words")),
]


@pytest.mark.parametrize(("source", "statement", "expected"), MATRIX)
def test_a_statement_has_to_pass_rules_and_model(model: str, source: str, statement: str, expected: Support) -> None:
    found = check(load(model), statement, source)
    assert (found.label, found.failed) == (expected.label, expected.failed)
    assert found.score == pytest.approx(expected.score, abs=1e-6)


def test_the_model_is_asked_only_what_the_rules_leave_open(model: str) -> None:
    how = load(model)
    with passes() as ran:
        for statement in (VERBATIM, f"  {VERBATIM} ", CHANGED, NEW, "", "…"):
            check(how, statement, SAYS)
        assert check(how, "Der Damm öffnete wieder.", "Der Damm ist offen.", language="de").label == "not_checked"
        assert ran == []
        check(how, KEPT, SAYS)
        assert len(ran) == 1


@pytest.mark.parametrize(("least", "label"), [(0.0, "supported"), (0.95, "supported"), (0.96, "unsupported")])
def test_the_threshold_decides(model: str, least: float, label: str) -> None:
    assert 0.95 < YES < 0.96
    assert check(load(model, least), KEPT, SAYS).label == label


def test_the_premise_is_all_cited_sentences_as_they_are_stored(model: str) -> None:
    how = load(model)
    assert check(how, "Kovac opened the dam. It rained a lot.", "Kovac opened the dam.", "It rained.").score < 1
    assert check(how, "Kovac opened the dam on Monday.", SAYS, f"It {REFUSED} rained.").failed == "entailment"
    lying = Sentence("a", 0, 0, len(SAYS), f"{REFUSED} nothing")
    assert how(Statement(KEPT, (lying,)), {"a": Article("a", "", SAYS)}).label == "supported"


def test_an_outlet_stands_before_its_sentences_where_the_statement_names_it() -> None:
    premises: list[str] = []

    def entails(premise: str, _: str) -> float:
        premises.append(premise)
        return 1.0

    for statement in (KEPT, "According to the Gazette, on Monday Kovac opened the old dam."):
        found = check(partial(check_support, entails=entails), statement, SAYS, "It rained.", publisher="Gazette")
        assert found == Support("supported", 1.0)
    assert premises == [f"{SAYS} It rained.", f"Gazette: {SAYS} Gazette: It rained."]


# What does not fit, what fails


def test_what_the_model_cannot_read_to_its_end_is_not_supported(tmp_path: Path) -> None:
    filler = "It rained and rained."
    whole = AutoTokenizer.from_pretrained(PACKAGED)(f"{SAYS} {filler}", KEPT)["input_ids"]
    how = load(make_model(tmp_path, reads=len(whole)))
    assert check(how, KEPT, SAYS, filler).label == "supported"
    with passes() as ran:
        # Cut to what the model reads, each of these would pass.
        for sources in ((SAYS, filler, filler), (SAYS, f"{filler} {REFUSED}"), (SAYS, "x" * MOST_READ)):
            assert check(how, KEPT, *sources) == Support("unsupported", 0.0, "entailment")
        assert ran == []


def test_as_many_pieces_as_the_model_reads_are_read(tmp_path: Path) -> None:
    entails = CrossEncoderEntailment(make_model(tmp_path, reads=20))
    assert entails("dam " * 10, "dam " * 7) == pytest.approx(YES, abs=1e-6)  # and three marks
    assert entails("dam " * 11, "dam " * 7) is None
    assert entails("dam " * 10, "dam " * 8) is None


def test_nothing_passes_because_the_model_failed(model: str, caplog: pytest.LogCaptureFixture) -> None:
    how = load(model, 0.0)
    with breaking():
        assert check(how, KEPT, SAYS) == Support("unsupported", 0.0, "entailment")
        assert check(how, VERBATIM, SAYS) == Support("supported", 1.0)
    assert "support.cross_encoder failed" in caplog.text and "out of memory" in caplog.text
    assert KEPT not in caplog.text
    assert check(how, KEPT, SAYS).label == "supported", "a failure is not remembered"


def test_nothing_passes_because_the_model_gives_no_number(tmp_path: Path) -> None:
    saved = BertForSequenceClassification.from_pretrained(make_model(tmp_path))
    with torch.no_grad():
        saved.classifier.bias.fill_(math.nan)
    saved.save_pretrained(tmp_path)
    assert check(load(str(tmp_path), 0.0), KEPT, SAYS) == Support("unsupported", 0.0, "entailment")


def test_a_pair_is_read_once(model: str) -> None:
    how = load(model)
    with passes() as ran:
        found = [check(how, KEPT, SAYS) for _ in range(3)]
        assert (len(ran), found[0]) == (1, found[2])
        check(how, f"{KEPT[:-1]}!", SAYS)
        check(how, KEPT, SAYS, "It rained.")
        assert len(ran) == 3


def test_statements_from_many_threads(tmp_path: Path) -> None:
    entails = CrossEncoderEntailment(make_cross_encoder(tmp_path))
    pairs = [(f"The dam opened on day {n}.", f"It was day {n}.") for n in range(24)] * 2
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: entails(*pair), pairs))
    alone = CrossEncoderEntailment(str(tmp_path))
    assert together == pytest.approx([alone(*pair) for pair in pairs], abs=1e-6)


# Loading


def test_without_a_cross_encoder_the_rules_decide_alone() -> None:
    assert load_support_check(SupportSettings()) is check_support
    loaded = (
        "import sys; from qa.engine import Engine; from qa.entailment import load_support_check as load;"
        "from qa.settings import SupportSettings; load(SupportSettings());"
        "print({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("labels", [("SUPPORTS", "REFUTES"), ("LABEL_0", "LABEL_1", "LABEL_2")])
def test_labels_without_entailment_are_named(tmp_path: Path, labels: tuple[str, ...]) -> None:
    shown = rf"support\.cross_encoder: {tmp_path.name} gives {', '.join(labels)}: name a model .*`id2label`"
    with pytest.raises(ModelError, match=shown):
        load(make_cross_encoder(tmp_path, labels))


def test_a_model_that_embeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"all-MiniLM-L6-v2 was saved as BertModel, .*: name a cross-encoder"):
        load("all-MiniLM-L6-v2")
    BertForSequenceClassification.from_pretrained(make_model(tmp_path)).bert.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=f"{tmp_path.name} was saved as BertModel"):
        load(str(tmp_path))


def test_a_model_that_is_not_there_is_told_with_the_way_out(engine: Engine, tmp_path: Path) -> None:
    for name, told in {
        "no-such-model": r"support\.cross_encoder: no model 'no-such-model'.*`hf download no-such-model`",
        str(tmp_path): rf"support\.cross_encoder: model {tmp_path} has no weights in safetensors form",
    }.items():
        support = SupportSettings(cross_encoder=name)
        opened = Engine.open(engine.settings.model_copy(update={"support": support}))
        assert opened.status().state == "unavailable"
        with pytest.raises(ModelError, match=told):
            opened.ask(QUESTION)
        # As with every model, one that has come meanwhile is found.
        if name == str(tmp_path):
            make_model(tmp_path)
            assert opened.reload_if_changed() and opened.ask(QUESTION).statements
        opened.close()


# In an answer


QUESTION = "How many turbines did engineers replace at the Oster Dam?"
SOURCE = "Engineers replaced 3 of the 8 turbines."
TURNED = "3 of the 8 turbines were replaced by engineers."
DOUBTED = f"Engineers have {REFUSED} replaced 3 of the 8 turbines."


@pytest.fixture(scope="module")
def stub() -> Iterator[Hostile]:
    with hostile() as started:
        yield started


Open = Callable[[str], Engine]


@pytest.fixture
def opened(stub: Hostile, engine: Engine) -> Iterator[Open]:
    """Open engines over the small corpus whose language model says what the tests have it say."""
    engines: list[Engine] = []

    def open_engine(cross_encoder: str) -> Engine:
        before = engine.settings
        llm = type(before.llm).model_validate(stub.settings(timeout_seconds=20))
        support = SupportSettings(cross_encoder=cross_encoder)
        engines.append(Engine.open(before.model_copy(update={"llm": llm, "support": support})))
        return engines[-1]

    yield open_engine
    for one in engines:
        one.close()


def say(stub: Hostile, *statements: str) -> None:
    stub.behave = lambda asked: says(items(*((text, [asked.find(SOURCE)[1]]) for text in statements)))


def test_a_paraphrase_that_only_the_model_refuses_is_left_out(opened: Open, stub: Hostile, model: str) -> None:
    say(stub, DOUBTED, TURNED)
    alone = opened("").ask(QUESTION)
    assert ([statement.text for statement in alone.statements], alone.dropped) == ([DOUBTED, TURNED], 0)
    with TestClient(create_app(opened(model)), base_url="http://127.0.0.1") as client, passes() as ran:
        reply = client.post("/v1/ask", json={"question": QUESTION, "include": ["passages"]}).json()
        assert len(ran) == 2, "what was written, shown and cited was read once"
        streamed = list(events(client.post("/v1/ask", json={"question": QUESTION, "stream": True}).text.split("\n")))
    check_reply(client, reply)
    assert reply["answer"]["text"] == TURNED and DOUBTED not in str(reply)
    assert reply["engine"]["answerer"] == "llm"
    (citation,) = reply["citations"]
    assert citation["verified"] and citation["support"] == {"label": "supported", "score": pytest.approx(YES, abs=1e-6)}
    (note,) = [note["message"] for note in reply["notes"] if note["code"] == "unsupported_dropped"]
    assert note.startswith("1 sentence was left out")
    assert "".join(event.data["text"] for event in streamed if event.name == "answer.delta") == TURNED
    assert streamed[-1].data["response"]["answer"]["text"] == TURNED


def test_where_the_model_fails_the_articles_are_quoted(opened: Open, stub: Hostile, model: str) -> None:
    say(stub, TURNED)
    engine = opened(model)
    quoted = engine.ask(QUESTION, answerer="extractive")
    with breaking():
        answer = engine.ask(QUESTION)
    assert (answer.answerer, answer.statements, answer.dropped) == ("extractive", quoted.statements, 2)
    assert [note.code for note in answer.notes] == ["llm_fallback"]
    assert engine.ask(QUESTION).text == TURNED


def test_what_is_quoted_needs_no_model(opened: Open, model: str) -> None:
    with passes() as ran:
        answer = opened(model).ask(QUESTION, answerer="extractive")
    assert answer.statements and ran == []


# In the measurement


def test_the_measurement_is_of_the_check_that_is_set(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    support = {"cross_encoder": make_model(tmp_path), "min_entailment": 0.96}
    report = evaluate_dataset("support", Request(make_settings(tmp_path, support=support), split="dev")).report
    assert report.about["answerer"] == f"rules and {tmp_path}"
    # It drops all that it is asked about; what repeats its sources is left.
    assert report.metrics["support.false_pass.edits"].value == 0
    assert 0.95 < report.metrics["support.false_drop.edits"].value <= 1
