# `make` without a target lists the targets. It needs only Python 3.11 or newer (with venv) and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
RIVALS := bench-http bench-mlserver
LOCK   := uv pip compile --quiet --universal --generate-hashes --python-version 3.11
CACHE  ?= $(or $(FRAUDSIM_CACHE_DIR),$(HOME)/.cache/fraudsim)

.DEFAULT_GOAL := help
.PHONY: help setup setup-spark setup-tune setup-zoo setup-browser setup-airflow setup-bench-features setup-bench-http demo up test test-long lint kernels format lock \
  schemas dashboards prometheus screenshots page-cost clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  pass options in ARGS, for example: make demo ARGS="--seconds 30 --rate 500"'

setup: $(VENV)/ready ## create .venv from the hash-locked dependencies

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11: name a newer one, for example make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "error: $(PYTHON) lacks venv: install it (on Debian: apt install python3-venv)"; exit 2; }
	@echo "setting up $(VENV): about 300 MB of wheels, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup-spark: setup ## add PySpark (450 MB to download; needs a full JDK 17 or 21)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --require-hashes \
	  -r requirements-spark.lock

setup-tune: setup ## add Optuna, for `fraudsim model tune`
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-tune.lock

setup-zoo: setup ## add ONNX Runtime, for `fraudsim study tradeoffs`
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-zoo.lock

setup-browser: setup ## add Playwright, for the page's tests in the system's Chromium and its pictures
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-browser.lock
	@mkdir -p $(CACHE); test -e $(CACHE)/axe-core-4.11.1.min.js || ! command -v npm >/dev/null || \
	  { npm pack --silent --pack-destination $(CACHE) axe-core@4.11.1 >/dev/null && \
	  tar -xzOf $(CACHE)/axe-core-4.11.1.tgz package/axe.min.js >$(CACHE)/axe-core-4.11.1.min.js; }

screenshots: setup-browser ## run a line and draw its live page, for the README and docs/page.md (needs Chromium)
	@$(BIN)/python -m tests.dashboards.page.screenshots $(ARGS)

page-cost: setup ## measure what the live page costs at 1,000 decisions a second with ten clients
	@$(BIN)/python -m tests.dashboards.page.measure_cost $(ARGS)

demo: setup ## run everything once: Kafka, Redis, Faust, XGBoost, live traffic, summary
	@$(BIN)/fraudsim demo $(ARGS)

up: setup ## keep the whole line running until Ctrl-C
	@$(BIN)/fraudsim up $(ARGS)

test: setup ## lint, types and all tests, with the real Kafka and Redis
	@$(MAKE) --no-print-directory -j 2 lint kernels
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: setup ## soaks, repetitions and long fuzzing
	@$(BIN)/python -m pytest -m long $(ARGS)

lint: setup ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

kernels: setup ## compile the kernels now, so that no process waits for it later
	@$(BIN)/fraudsim compile

format: setup ## fix and format the code with ruff
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## pin every dependency with hashes (needs uv)
	@$(LOCK) --extra load --extra dev -o requirements.lock pyproject.toml
	@for extra in spark tune zoo browser; do \
	  $(PYTHON) -c 'import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]], sep="\n")' $$extra | \
	    $(LOCK) -c requirements.lock -o requirements-$$extra.lock - || exit; done
	@for group in bench-features airflow; do $(LOCK) --group $$group -o requirements-$$group.lock || exit; done
	@for extra in $(RIVALS); do $(LOCK) --extra $$extra -o requirements-$$extra.lock pyproject.toml || exit; done

setup-bench-features: setup .venv-bench-features/ready ## install the rivals of `bench features` (in a separate .venv)

setup-bench-http: setup $(RIVALS:%=.venv-%/ready) ## install the rivals of `bench http` and `bench scorer` (2 GB)

setup-airflow: .venv-airflow/ready ## install Airflow (in a separate .venv-airflow), for the DAG in lifecycle/dags

.venv-airflow/ready: requirements-airflow.lock
	@test -x .venv-airflow/bin/python || $(PYTHON) -m venv .venv-airflow
	@.venv-airflow/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

.venv-%/ready: requirements-%.lock
	@test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

schemas: setup ## write the JSON Schemas of the events
	@$(BIN)/fraudsim schemas

dashboards: setup ## write Grafana's dashboards
	@$(BIN)/python -m dashboards.grafana

prometheus: setup ## build promtool and prometheus for some tests (needs Go; takes minutes, once)
	@version=$$($(BIN)/python -c 'from dashboards.prometheus_binaries import version; print(version())') && \
	  cd dashboards/prometheus/build && \
	  go build -mod=readonly -buildvcs=false -tags remove_all_sd,enable_dns_sd -o "$(CACHE)/prometheus-$$version/" \
	  github.com/prometheus/prometheus/cmd/promtool github.com/prometheus/prometheus/cmd/prometheus

.PHONY: studies
studies: setup ## run the studies in full and fill docs/studies (hours; goes on where it stopped; SIZE=quick is a look)
	@$(BIN)/fraudsim study all --$(or $(SIZE),full) --out runs/studies-$(or $(SIZE),full) \
	  $(if $(filter quick,$(SIZE)),,--publish docs/studies) $(ARGS)

clean: ## remove .venv and runs
	rm -rf $(VENV) .venv-* runs
