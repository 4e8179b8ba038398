.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

# pyenv's shims mislead uv, so the interpreters behind them go on its PATH.
UVPATH := $(CURDIR)/.uv/bin:$(PATH)$(shell for d in $(HOME)/.pyenv/versions/*/bin; do [ -d "$$d" ] && printf ':%s' "$$d"; done)
UV := PATH="$(UVPATH)" UV_NO_PROGRESS=1 uv
RUN := .venv/bin
STAMPS := .venv/.ready .venvs/jobs/.ready .venvs/device/.ready
ALL := $(STAMPS) .venv/.dev

.PHONY: help setup setup-aws demo demo-drift transcript docs test check bench scenario-offline up down lock format clean

help:  ## Show this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(STAMPS)  ## Make the environments: control, jobs, device

setup-aws: $(STAMPS) .venv/.aws  ## Make them, with what work in an AWS account needs

.uv/.ready:
	@mkdir -p .uv
	@PATH="$(UVPATH)" command -v uv >/dev/null || { echo "make: putting uv into .uv" >&2; \
	  python3 -m pip install -qq --disable-pip-version-check --target .uv uv || \
	  { echo "make: no uv and no pip. Install uv (https://docs.astral.sh/uv/) and try again." >&2; exit 4; }; }
	@touch $@

# $(call environment,FOLDER,PYTHON,LOCK)
define environment
	@echo "make: $(1) (Python $(2))" >&2
	@$(UV) venv --quiet --clear --python $(2) $(1) || \
	  { echo "make: Python $(2) is needed for $(1): install it (pyenv install $(2), or your system's python$(2)) and try again." >&2; exit 4; }
	@$(UV) pip sync --quiet --python $(1)/bin/python $(3)
endef

.venv/.ready: requirements/local.txt pyproject.toml .uv/.ready
	$(call environment,.venv,3.12,requirements/local.txt)
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

# More of the same lock, into the same environment: AWS's packages, or those and the tests' tools.
.venv/.aws .venv/.dev: .venv/.%: requirements/%.txt .venv/.ready
	@echo "make: .venv ($*)" >&2
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps -r requirements/$*.txt
	@touch $@

.venvs/jobs/.ready: jobs/requirements.txt .uv/.ready
	$(call environment,.venvs/jobs,3.10,jobs/requirements.txt)
	@touch $@

.venvs/device/.ready: requirements/device.txt .uv/.ready
	$(call environment,.venvs/device,3.12,requirements/device.txt)
	@touch $@

demo: setup  ## Run the full cycle on drawn pictures, down to a device on this machine
	@$(RUN)/edgeward run

demo-drift: setup  ## Let night fall before a device: alarm, labels, retraining, and the alarm's end
	@$(RUN)/python -m flows.scenario_drift

test: $(ALL)  ## Pass all tests
	@$(RUN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: $(ALL)  ## Format, lint, types, import rules, documentation
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports
	@$(RUN)/python -m docs.generate --check
	@$(SITE)

# Warnings are errors, a broken link is one. (With --quiet they are not counted.)
SITE = NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict

docs: $(ALL)  ## Renew what docs/ says of the code, and build the site into site/
	@$(RUN)/python -m docs.generate
	@$(SITE)
	@echo "make: open site/index.html, or read with the search: .venv/bin/mkdocs serve" >&2

# What only the comparison needs, beside the jobs environment and not in it.
.venvs/bench/.ready: requirements/bench.txt .venvs/jobs/.ready
	@rm -rf .venvs/bench
	@$(UV) pip install --quiet --python .venvs/jobs/bin/python --no-deps --target .venvs/bench -r requirements/bench.txt
	@touch $@

bench: $(ALL) .venvs/bench/.ready  ## Measure speed and memory as ratios against peers (JSON lines)
	@$(RUN)/python -m benchmarks

scenario-offline: setup  ## Cut a device's network, send it a broken model, and see that nothing is lost
	@$(RUN)/python -m flows.scenario_offline --nucleus classic
	@$(RUN)/python -m flows.scenario_offline --nucleus lite

up: setup  ## Start Prefect's server and worker, the broker and a device; deploy the flows
	@$(RUN)/edgeward up

down:  ## Stop everything that was started on this machine
	@$(RUN)/edgeward down

format: $(ALL)  ## Format and mend what can be mended by itself
	@$(RUN)/ruff format .
	@$(RUN)/ruff check --fix .

transcript: $(ALL)  ## Renew the list of AWS calls in docs/how-to/aws.md by a run against test servers
	@$(RUN)/pytest -q tests/backends/aws/test_full_cycle.py --renew-docs

LOCK = $(UV) pip compile --quiet --no-emit-index-url --universal --generate-hashes --override requirements/overrides.in

lock: .uv/.ready  ## Renew the lock files: aws first, the others agree with it
	@$(LOCK) --python-version 3.12 --extra aws pyproject.toml -o requirements/aws.txt
	@$(LOCK) --python-version 3.12 -c requirements/aws.txt pyproject.toml requirements/build.in -o requirements/local.txt
	@$(LOCK) --python-version 3.12 -c requirements/aws.txt --extra aws --extra dev pyproject.toml requirements/build.in -o requirements/dev.txt
	@$(LOCK) --python-version 3.9 edge/requirements.txt -o requirements/device.txt
	@$(UV) pip compile --quiet --no-emit-index-url --python-version 3.10 jobs/requirements.in -o jobs/requirements.txt
	@$(UV) pip compile --quiet --no-emit-index-url --python-version 3.10 -c jobs/requirements.txt --no-emit-package numpy requirements/bench.in -o requirements/bench.txt

clean:  ## Remove the environments (runs stay)
	@rm -rf .venv .venvs .uv
