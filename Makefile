# One target a step; each sets up the virtual environment that it needs. `make help` lists them.
TASK ?= models/jet_tagger
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
# Put in front of each command, e.g. LAUNCHER="srun --cpus-per-task=2".
LAUNCHER ?=

BASE := $(VENV)/.base
TEST := $(VENV)/.test
FLOW := $(LAUNCHER) $(VENV)/bin/flow
PYTEST := $(LAUNCHER) $(VENV)/bin/python -m pytest
BUILT = $(patsubst %/metadata.json,%,$(wildcard hls_projects/$(notdir $(TASK))/*/metadata.json))

.DEFAULT_GOAL := help
.PHONY: help setup flow data train search convert synth report status estimate calibrate verify export tools synth-projects $(BUILT:=.synth) test test-matrix check clean distclean

help: ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20
	@echo "  TASK=$(TASK) chooses the task; LAUNCHER goes in front of each command"

setup: $(BASE) ## set up the virtual environment

# A stamp is written when an installation has succeeded, and is stale when setup.cfg has changed.
$(BASE): setup.cfg pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" || { echo "make: set PYTHON to a Python 3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -qq --disable-pip-version-check -e .
	@touch $@

$(TEST): $(BASE)
	$(VENV)/bin/python -m pip install -qq --disable-pip-version-check -e '.[test]'
	@touch $@

flow: $(BASE) ## run the whole loop: train, search, convert, synthesise, feed back, report
	$(FLOW) run $(TASK)

data: $(BASE) ## read, split and scale the events
	$(FLOW) data $(TASK)

train: $(BASE) ## train the float network and the uniform baselines
	$(FLOW) train $(TASK)

search: $(BASE) ## propose and train the round's designs
	$(FLOW) search $(TASK)

convert: $(BASE) ## build the chosen designs as HLS and RTL projects and verify them
	$(FLOW) convert $(TASK)

synth: $(BASE) ## synthesise them, with -j several at once, each behind LAUNCHER, and refit the cost model
	$(FLOW) convert $(TASK)
	@$(MAKE) --no-print-directory synth-projects
	$(FLOW) synth $(TASK)

# A job for each built design, for make's own -j; what comes out is in the cache, where the step finds it. A design that
# fails stops nothing here: the step says why.
synth-projects: $(BUILT:=.synth)

$(BUILT:=.synth): %.synth:
	-$(FLOW) synth --like $(TASK) $*

report: $(BASE) ## finish all rounds and write the page
	$(FLOW) report $(TASK)

status: $(BASE) ## show how far the task is
	$(FLOW) status $(TASK)

estimate: $(BASE) ## what the chosen design costs, by layer, beside its reports
	$(FLOW) estimate $(TASK)

calibrate: $(BASE) ## refit the cost models on the task's reports
	$(FLOW) calibrate $(TASK)

verify: $(BASE) ## put all built designs through the equivalence gate again
	$(FLOW) verify $(BUILT)

tools: $(BASE) ## list the synthesis tools and job systems that are here
	$(FLOW) tools

export: $(BASE) ## pack the chosen design as a release bundle, hls_projects/<task>.zip
	$(FLOW) export $(TASK) -o hls_projects/$(notdir $(TASK)).zip

test: $(TEST) ## run all tests
	$(PYTEST) -n 2 --dist loadfile

test-matrix: $(TEST) ## compute layer x quantizer x backend x io type (half an hour), write docs/matrix.md
	$(LAUNCHER) $(VENV)/bin/python -m tests.firmware.matrix

check: $(TEST) ## run the fast tests
	$(PYTEST) -m "not slow" -n auto

clean: ## remove what the tasks have made
	rm -rf hls_projects

distclean: clean ## remove the virtual environment too
	rm -rf $(VENV) flow.egg-info
