# `make demo` and `make test` do their own set-up: nothing needs to be installed by hand.
PYTHON ?= python3
VENV := .venv/bin
JOBS ?= 2
MINUTES ?= 10

.PHONY: help setup demo test test-all bench bench-hw claims zoo lut-table cost-model soak docs lint clean

help:
	@echo "make demo       digits, from training to a checked bitstream (arbonn run recipes/digits.toml)"
	@echo "make test       the tests, without those marked slow"
	@echo "make test-all   all tests"
	@echo "make bench      how fast, side by side with others, in one run; ARBONN_DATA names the folder of model and images; ONLY=methods,cnv for some of it"
	@echo "make bench-hw   how small and how fast the hardware is, beside others; an hour; ONLY=popcount,ice40 for some of it"
	@echo "make claims     published claims on small networks, seed by seed; writes docs/claims.md; goes on where it was stopped"
	@echo "make frontier   accuracy against LUTs of whole unrolled networks; writes docs/frontier.md; goes on where it was stopped"
	@echo "make zoo        trains the networks of zoo/ again, and writes their files and figures"
	@echo "make lut-table  measures sums of binary products on every family again; writes hw/lut_table.py"
	@echo "make cost-model calibrates the cost estimates by synthesis again; writes hw/cost/coefficients.json and docs/cost.md; can be stopped"
	@echo "make soak MINUTES=10   random graphs on their RTL; goes on where the last soak ended"
	@echo "make docs       docs/graph.md from the units' docstrings"
	@echo "make lint       ruff and mypy"
	@echo "make setup      .venv with everything in it; the other targets do this by themselves"
	@echo "make clean      removes what was built here; the store of results stays (arbonn clean empties it)"

setup:
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) not found; type:  sudo apt-get install --yes python3 python3-venv"; exit 2; }
	@$(PYTHON) -I flows/bootstrap.py

demo: setup
	$(VENV)/arbonn run recipes/digits.toml

test: setup
	$(VENV)/pytest -n $(JOBS) -m "not slow"

test-all: setup
	$(VENV)/pytest -n $(JOBS)

bench: setup
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(VENV)/python -m arbonn.flows.bench $(if $(ONLY),--only $(ONLY))

bench-hw: setup
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(VENV)/python -m arbonn.flows.bench_hw $(if $(ONLY),--only $(ONLY))

claims: setup
	OMP_NUM_THREADS=1 $(VENV)/arbonn compare recipes/claims/*.toml --jobs $(JOBS) --table docs/claims.md

frontier: setup
	OMP_NUM_THREADS=1 $(VENV)/arbonn frontier recipes/frontier --curve --table docs/frontier.md

zoo: setup
	OMP_NUM_THREADS=1 $(VENV)/arbonn zoo --remake all

lut-table: setup
	$(VENV)/python -m arbonn.flows.lut_table hw/lut_table.py

cost-model: setup
	OMP_NUM_THREADS=1 $(VENV)/python -m arbonn.flows.calibrate

soak: setup
	$(VENV)/python -m tests.soak $(MINUTES)

docs: setup
	$(VENV)/python -m arbonn.flows.graph_page docs/graph.md

lint: setup
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy

clean:
	rm -rf build dist arbonn.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
