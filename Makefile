# make demo: the whole road on rendered videos, from nothing.  make test: linter, types and tests.
# make test-slow: several workers, killed runs, Beam, server, wheel, image and what else takes minutes.
# make test-lowest: central tests with the oldest libraries that setup.py allows.
# make wheel: dist/stfnet-VERSION-py3-none-any.whl.
# make lock: requirements-cpu.txt and -gpu.txt, exact versions with digests.
# make benchmarks: a short run of each but export, which needs a run.
# make coverage: lines that the tests run.  make docs: the site of docs/, in site/.
# Of setup.py's versions; make PYTHON=python3.12 names another.
PYTHON ?= python3
VENV ?= .venv
DEVICE ?= cpu
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed-$(DEVICE)
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
# uv, where it is installed, takes a fraction of pip's time.
INSTALL := $(if $(shell command -v uv),uv pip install --quiet --python $(BIN)/python,$(BIN)/python $(PIP_INSTALL))
CHECKED := import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit( \
	"error: $(PYTHON) is Python %d.%d, and 3.11 to 3.13 are needed: name one, PYTHON=python3.12" % v)
# What `make test-lowest` runs.
CENTRAL := tests/stfnet/config tests/stfnet/layers tests/stfnet/test_sampling.py \
	tests/stfnet/networks/test_model.py tests/stfnet/test_weights.py tests/stfnet/training/test_steps.py \
	tests/stfnet/evaluation/test_metrics.py tests/stfnet/evaluation/test_linear_model.py \
	tests/stfnet/drawing/test_plots.py tests/stfnet/inference/test_prediction.py \
	tests/preprocessing/records tests/preprocessing/video \
	tests/preprocessing/flow/test_solver.py tests/preprocessing/flow/test_tvl1_numba.py \
	tests/preprocessing/datasets/test_tfds_video.py tests/experiments/configs \
	tests/experiments/test_program.py
TESTS ?= tests
# Small networks lose a tenth of their time to threads that wait for each other. Hundreds of
# processes import the same modules: what Python compiles of them is kept.
TEST := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1 \
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 3 --dist worksteal

LOCK = $(VENV)-lowest/bin/uv pip compile --quiet setup.py --extra serve --generate-hashes \
	--python-version 3.11 --no-annotate --no-header

.PHONY: demo test test-slow test-lowest benchmarks coverage docs wheel lock install clean

install: $(INSTALLED)

$(INSTALLED): setup.py
	@test -x $(BIN)/python || $(PYTHON) -c '$(CHECKED)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[$(DEVICE)]'
	touch $@

# tensorflow-serving-api comes without its dependencies, of which one is a second TensorFlow.
$(INSTALLED)-dev: $(INSTALLED)
	$(INSTALL) -e '.[$(DEVICE),litert,onnx,dev]'
	$(INSTALL) --no-deps 'tensorflow-serving-api>=2.21'
	touch $@

$(INSTALLED)-slow: $(INSTALLED)-dev
	$(INSTALL) -e '.[$(DEVICE),beam,litert,onnx,serve,dev]'
	touch $@

$(VENV)-lowest/installed: setup.py
	@$(PYTHON) -c '$(CHECKED)'
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(VENV)-lowest/bin/python $(PIP_INSTALL) uv
	$(VENV)-lowest/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python \
		--resolution lowest-direct -e '.[cpu,dev]'
	touch $@

$(VENV)-docs/installed: setup.py
	@$(PYTHON) -c '$(CHECKED)'
	$(PYTHON) -m venv --clear $(VENV)-docs
	$(VENV)-docs/bin/python $(PIP_INSTALL) -e '.[docs]'
	touch $@

demo: install
	$(BIN)/python -m experiments.demo --output=runs/demo

test: $(INSTALLED)-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(TEST) -m "not slow"

test-slow: $(INSTALLED)-slow
	$(TEST) -m slow

test-lowest: $(VENV)-lowest/installed
	$(VENV)-lowest/bin/python -m pytest -q -n 2 -m "not slow" $(CENTRAL)

benchmarks: install
	$(BIN)/python -m benchmarks network --backends=tensorflow --precisions=float32 --compiled=off --nopeer --repeats=5
	$(BIN)/python -m benchmarks flow --batches=8
	$(BIN)/python -m benchmarks preparation --pairs=16
	$(BIN)/python -m benchmarks input --rounds=5 --width_divisor=4
	$(BIN)/python -m benchmarks start --jit=off
	$(BIN)/python -m benchmarks growth --videos=10,100,1000 --classes=101 --class_videos=1000

# All tests, slow ones too. TESTS names a part of them, which then need not reach the 90 % of
# pyproject.toml.
coverage: $(INSTALLED)-slow
	$(TEST) --cov --cov-report=term:skip-covered --cov-report=html \
		$(if $(filter-out tests,$(TESTS)),--cov-fail-under=0) $(TESTS)

docs: $(VENV)-docs/installed
	$(VENV)-docs/bin/python docs/write_configuration.py
	$(VENV)-docs/bin/mkdocs build --strict

# The GPU's in the CPU's versions.
lock: $(VENV)-lowest/installed
	$(LOCK) --upgrade --extra cpu --output-file requirements-cpu.txt
	$(LOCK) --upgrade --extra gpu --constraint requirements-cpu.txt --output-file requirements-gpu.txt

wheel: $(INSTALLED)-dev
	rm -rf build dist
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-docs runs/demo build dist site htmlcov .coverage *.egg-info
