# make demo: the whole road on rendered videos, from nothing.  make test: linter, types and tests.
# make test-slow: several workers, killed runs, Beam, the server and other tests that take minutes.
PYTHON ?= python3.11
VENV ?= .venv
DEVICE ?= cpu
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed-$(DEVICE)

.PHONY: demo test test-slow install clean

install: $(INSTALLED)

$(INSTALLED): setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(DEVICE)]'
	touch $@

$(INSTALLED)-test: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(DEVICE),test]'
	touch $@

$(INSTALLED)-slow: $(INSTALLED)-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(DEVICE),beam,serve,test]'
	touch $@

demo: install
	$(BIN)/python -m experiments.demo --output=runs/demo

test: $(INSTALLED)-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 3 --dist worksteal -m "not slow"

test-slow: $(INSTALLED)-slow
	$(BIN)/python -m pytest -q -n 3 --dist worksteal -m slow

clean:
	rm -rf $(VENV) runs build *.egg-info
