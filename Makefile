# Each target sets up what it needs: a fresh machine with Python 3.11+ and make is enough.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
# On two cores the tests run two at a time; set JOBS=1 to see them in order.
JOBS ?= 2

.PHONY: demo test lint types bench peers starter wheel clean

$(VENV)/.installed: pyproject.toml constraints.txt scripts/install_torch.py
	$(PYTHON) -m venv $(VENV)
	$(PY) scripts/install_torch.py
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.installed  ## simulate (or DATA=folder), fit five tasks, predict one recording, draw it
	$(VENV)/bin/enecg demo --out demo $(if $(DATA),--data $(DATA))

test: $(VENV)/.installed  ## the whole test suite
	$(PY) -m pytest -n $(JOBS) tests

lint: $(VENV)/.installed  ## style, and the direction of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

types: $(VENV)/.installed
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .venv-* dist build demo .pytest_cache .mypy_cache .ruff_cache
