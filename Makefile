# Every target makes a virtual environment on demand and then runs the plain command that README.md shows too.
# CORES=8 make paper uses eight cores; PYTHON=python3.12 make test another Python.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
VENV := .venv
# Without compiled bytecode every process would spend seconds on importing torch.
unexport PYTHONDONTWRITEBYTECODE
# Snakemake's cache needs a place where one can write; some clusters have no such home.
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export XDG_CACHE_HOME ?= $(CURDIR)/.cache
endif
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: quick smoke paper test check format clean

quick: $(VENV)/ready ## every figure and table, from short runs
	snakemake --cores $(CORES) --configfile workflow/config/quick.yaml

smoke: $(VENV)/ready ## two scenarios, two minutes
	snakemake --cores $(CORES) --configfile workflow/config/smoke.yaml

paper: $(VENV)/ready ## the full paper
	snakemake --cores $(CORES)

test: $(VENV)/ready
	python -m pytest -n $(CORES)

check: $(VENV)/ready
	ruff format --check .
	ruff check .
	snakefmt --check Snakefile workflow
	snakemake --lint

format: $(VENV)/ready
	ruff format .
	ruff check --fix .
	snakefmt Snakefile workflow

clean: ## everything but results
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
