# make setup | demo | test | browser | lint | docs | lock: each works on a fresh machine with Python 3.11 and make alone.
PYTHON ?= python3.11
BIN := .venv/bin
# Some machines have 3.11 only under the name python3.
PYTHON := $(shell command -v $(PYTHON) || command -v python3)
# The tests start hundreds of processes, each of which would compile all of dfer again.
export PYTHONDONTWRITEBYTECODE :=
# How many processes run the tests.
PROCESSES ?= 2

.PHONY: setup demo test browser lint docs lock clean

setup: .venv/.done

.venv/.done: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/dfer demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	# A thread per process: two processes on two cores otherwise wait for each other's threads most of the time.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal

# The pages of `dfer predict --report` in an installed Chromium.
browser: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	$(BIN)/python -m pytest tests/browser

docs: setup
	$(BIN)/python docs/reference.py
	$(BIN)/mkdocs build --strict

lock: setup
	$(BIN)/python -m dfer.release.lock

clean:
	rm -rf .venv build dist site demo *.egg-info
