# Each target sets up what it needs: a fresh machine with Python 3.11+ and make is enough.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check -c constraints.txt
# On two cores the tests run two at a time; JOBS=0 runs them in order.
JOBS ?= 2
# A folder of recordings for demo, peers, starter and evaluations.
DATA ?=
ANSWERS := build/peers/answers.npz

.PHONY: help demo test lint types fuzz wheel bench peers experts starter evaluations formats results clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed  ## simulate (or DATA=folder), fit five tasks, test, predict one recording, draw it
	$(VENV)/bin/enecg demo --out demo $(if $(DATA),--data "$(DATA)")

test: $(VENV)/.installed  ## the whole test suite
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) tests

lint: $(VENV)/.installed  ## style, and the direction of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

types: $(VENV)/.installed  ## mypy, strict on src
	$(VENV)/bin/mypy

fuzz: $(VENV)/.installed  ## a minute of damaged files of every format, each to be read or refused by name
	$(PY) scripts/fuzz_formats.py --seconds 60

wheel: $(VENV)/.installed  ## build the wheel, install it in an empty environment, predict a file with it
	$(PY) scripts/check_wheel.py

bench: .venv-bench/.installed  ## every claim of speed, measured beside what it is compared with
	set -e; for script in $(filter-out %/report.py,$(wildcard benchmarks/*.py)); do .venv-bench/bin/python "$$script"; done

peers: $(VENV)/.installed .venv-peers/.installed  ## answers of aeon's MiniRocket with ridge on PTB-XL (DATA=folder)
	$(if $(DATA),,$(error make peers needs DATA=folder, with ptbxl in it))
	mkdir -p build/peers
	$(PY) scripts/peer.py export --data "$(DATA)/ptbxl" --subjects 300 1000 --to build/peers/split.npz
	.venv-peers/bin/python scripts/peer.py answer build/peers/split.npz --to $(ANSWERS)

experts: $(VENV)/.installed  ## the networks of our own that ship with the package, from PTB-XL (DATA=folder)
	$(if $(DATA),,$(error make experts needs DATA=folder, with ptbxl in it))
	$(PY) scripts/make_experts.py --data "$(DATA)"

starter: $(VENV)/.installed  ## the bundle that ships with the package, from real recordings (DATA=folder)
	$(if $(DATA),,$(error make starter needs DATA=folder, with ptbxl, ludb and challenge2021 in it))
	$(PY) scripts/make_experts.py --data "$(DATA)" --judge s4d
	$(PY) scripts/make_starter.py --data "$(DATA)"

evaluations: $(VENV)/.installed  ## the figures of results/ (DATA=folder as for starter; first make peers)
	$(if $(DATA),,$(error make evaluations needs DATA=folder, with ptbxl, ludb and challenge2021 in it))
	$(foreach seed,0 1 2,$(PY) scripts/make_experts.py --data "$(DATA)" --judge --seed $(seed) s4d &&) true
	$(PY) scripts/make_experts.py --data "$(DATA)" --judge vit
	$(PY) scripts/probe_experts.py --data "$(DATA)" --store build/store
	$(PY) scripts/compare_pretraining.py --data "$(DATA)"
	$(PY) scripts/make_student.py --data "$(DATA)" --store build/store
	$(PY) scripts/evaluate_all.py --data "$(DATA)" --store build/store $(if $(wildcard $(ANSWERS)),--peer $(ANSWERS))

formats: $(VENV)/.installed  ## real files of every format held to what is known of them (DATA=folder)
	$(if $(DATA),,$(error make formats needs DATA=folder, with formats and other folders of recordings in it))
	$(PY) scripts/check_formats.py "$(DATA)/formats" --also $(foreach one,ludb challenge2021 mitbih ptbxl500 code15,"$(DATA)/$(one)")

results: $(VENV)/.installed  ## docs/results.md, docs/formats.md and README.md's table from results/, docs/experts.md from the cards
	$(PY) scripts/make_results.py
	$(PY) scripts/make_formats_page.py
	$(PY) scripts/make_experts_page.py

clean:  ## remove what the other targets made
	rm -rf $(VENV) .venv-* dist build demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.installed: pyproject.toml constraints.txt scripts/install_torch.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PY) scripts/install_torch.py
	$(PY) $(PIP_INSTALL) -e '.[dev]'
	touch $@

.venv-bench/.installed: pyproject.toml constraints.txt scripts/install_torch.py
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python scripts/install_torch.py
	.venv-bench/bin/python $(PIP_INSTALL) -e '.[bench]'
	touch $@

# aeon wants an older numpy than the rest, so it gets neither this package nor its constraints.
.venv-peers/.installed: scripts/peer.py
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check aeon==1.6.0 scikit-learn scipy
	touch $@
