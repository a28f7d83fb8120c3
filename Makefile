# iModel Desk: try it, test it, ship it. `make` alone says what there is.

PYTHON ?= python3
BIN := .venv/bin
UV_PIP := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml

.PHONY: help demo test both soak bench bench-long live lint pictures pins compose-test clean

help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/demo.stamp  ## Try it: install, start everything on this machine, print the address and the people
	@exec $(BIN)/python -m demo

test: .venv/test.stamp  ## Every check and every test, with real PostgreSQL, Redis and browser
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/run

both: .venv/test.stamp  ## Each test on the database on which `make test` did not run it, too
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/run both

soak: .venv/test.stamp  ## What takes long: 1000 random schedules of faults, long outages, fences taken away (README: SOAK_…)
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/run soak

bench: .venv/test.stamp  ## What measures this machine: lag, speed of pages, recovery times, memory (README: BENCH_…)
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/run bench

bench-long: .venv/test.stamp  ## What measures for real minutes: at the full rate, beside the official client and Celery
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/run bench-long

live: .venv/test.stamp  ## Put the contract tests' questions to the real platform (tests/contract/README.md)
	@$(BIN)/pytest -m live --verbose tests/contract

pictures: .venv/test.stamp  ## Take the pictures of README and approvals.md anew, of a demo that runs (DESK: its address)
	@$(BIN)/python -m tools.take_pictures $(or $(DESK),http://localhost:8000) --docs

lint: .venv/test.stamp  ## The checks of `make test` that run no test
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/run lint

pins: .venv/test.stamp  ## Take newer versions of what we build on into requirements/
	@$(BIN)/pip install --quiet uv
	$(UV_PIP) --upgrade --extra demo --extra test --output-file requirements/test.txt
	$(UV_PIP) --upgrade --constraint requirements/test.txt --extra demo --output-file requirements/demo.txt
	$(UV_PIP) --upgrade --constraint requirements/test.txt --output-file requirements/run.txt

compose-test: .venv/test.stamp  ## Build the images and drive the compose file, on a Debian machine as root (installs podman)
	@PYTHON=$(BIN)/python tests/containers/run

clean:  ## Forget what was installed and built; the demo's data in var/ stays
	rm -rf .venv staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis test-results

# A stamp is newer than its pins once they are installed, so that a second start costs nothing.
.venv/%.stamp: requirements/%.txt | .venv/bin/python
	@echo "Installing requirements/$*.txt, once. It takes a minute."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "iModel Desk needs Python 3.11 or newer, and $(PYTHON) is older or missing. Name another: make demo PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv
