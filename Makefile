# What to type: `make sim` and `make test`; `make help` tells the rest.

CARGO ?= cargo

# The project's own Verilator (set up in .tools), or the one that VERILATOR names.
# Each has its target folder, so that switching builds nothing again.
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
ifneq ($(VERILATOR),)
TARGET_DIR := $(TARGET_DIR)/with$(subst /,-,$(VERILATOR))
export VERILATOR
endif
export CARGO_TARGET_DIR := $(TARGET_DIR)

# The presets of our own block, by name.
override DUT := $(if $(filter small large,$(DUT)),rtl/dut-$(DUT).yaml,$(DUT))

# A dut.yaml that is not one of the repository's is compiled in as well.
OWN_DUTS := rtl/dut.yaml testcases/duts/stub/dut.yaml testcases/duts/stub-bug/dut.yaml
ifneq ($(filter-out $(OWN_DUTS),$(filter %.yaml %.yml,$(patsubst ./%,%,$(DUT)))),)
export IOMMU_DUT := $(DUT)
endif

# A second Verilator for `make test`: one on PATH, unless VERILATOR chose.
SECOND_VERILATOR ?= $(if $(VERILATOR),,$(shell command -v verilator 2>/dev/null))

COMMON := $(if $(DUT),--dut "$(DUT)") $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS)) \
          $(if $(filter-out 0,$(WAVES)),--waves) $(if $(filter-out 0,$(V)),--verbose)
COSIM := $(CARGO) run --release --quiet --package iommu-cosim --

# make random PROFILE="smoke faults": several, all of them with PROFILE=all, and by the clock if none is named.
PROFILES := $(foreach p,$(or $(PROFILE),$(if $(MINUTES),all)),--profile "$(p)")

.PHONY: help setup build sim random list duts oracle-proof mutants synth test test-second regression lint fmt clippy unit doc clean

help:
	@echo "make sim              build, run all test cases, print the table"
	@echo "  TEST=name           only this test case"
	@echo "  SEED=n              another seed"
	@echo "  WAVES=1             record waveforms of the whole run"
	@echo "  JOBS=n              test cases at once"
	@echo "  V=1                 say more"
	@echo "  DUT=name or path    another device under test, or the dut.yaml of your own RTL;"
	@echo "                      small and large are presets of ours"
	@echo "  DUT=soft            the specification in software; soft:<bug> a wrong one, soft-narrow one of other choices (make duts lists them)"
	@echo "make random SEEDS=n   random tests, n seeds from SEED on (also JOBS, WAVES, V, DUT)"
	@echo "  PROFILE=name        what they draw from: names of testcases/profiles, or all"
	@echo "  MINUTES=m           seed after seed for so long, instead of SEEDS"
	@echo "make coverage         test cases and SEEDS of every profile, counted; figures, holes, out/coverage.html"
	@echo "make masks            the short regression with each capability off alone, and MASKS=32 random masks (MASK=0x.. one)"
	@echo "make list             the test cases, a line each"
	@echo "make duts             the devices under test, a line each"
	@echo "make oracle-proof     the software device passes SEEDS=n seeds, its wrong behaviours are caught (long)"
	@echo "make test             everything that CI checks"
	@echo "make mutants          put deliberate bugs into copies of the RTL; each has to be found"
	@echo "make synth            size and speed of the presets on an FPGA (long; PRESETS=small, SEEDS=1,2,3, NO_ROUTE=1)"
	@echo "make bench            kHz under a stream of hits and under random tests (DUT=small, large), and what takes the time"
	@echo "make lint             Verilator's lint on the RTL; the deliberate bugs still fit it"
	@echo "make doc              the API documentation, in $(TARGET_DIR)/doc"
	@echo "make setup            Verilator and libclang into .tools (the other targets do it, once)"
	@echo "make clean            remove what was built (not .tools)"
	@echo "VERILATOR=/path/to/verilator on any of these lines uses that one (5.006 or newer)"

setup:
	@tools/setup

build: setup
	@$(CARGO) build --release --package iommu-cosim

sim: build
	@$(COSIM) run $(if $(TEST),--test "$(TEST)") $(COMMON)

random: build
	@$(COSIM) random $(PROFILES) --seeds $(or $(SEEDS),20) $(if $(MINUTES),--minutes $(MINUTES)) $(COMMON)

# The short regression with capabilities masked away (cfg_caps_i): each bit alone, and MASKS random combinations.
.PHONY: masks
masks: build
	@$(COSIM) masks --random $(or $(MASKS),32) $(if $(MASK),--mask $(MASK)) $(if $(TEST),--test "$(TEST)") $(PROFILES) $(COMMON)

list: build
	@$(COSIM) list

duts: build
	@$(COSIM) list --duts

# A stated regression on models that count lines, branches and toggles: all test cases, then seeds of
# every profile. They have a target folder of their own, so that nothing else is built again.
COVERAGE_DB ?= out/coverage.cov
COVERAGE_RUN = IOMMU_COVERAGE=1 $(CARGO) run --release --quiet --package iommu-cosim --target-dir "$(TARGET_DIR)/coverage" --
.PHONY: coverage
coverage: setup
	@$(COVERAGE_RUN) run $(COMMON) --coverage "$(COVERAGE_DB)" --out out/coverage
	@$(COVERAGE_RUN) random --profile all --seeds $(or $(SEEDS),4) $(COMMON) --coverage "$(COVERAGE_DB)" --out out/coverage
	@$(COVERAGE_RUN) coverage html "$(COVERAGE_DB)" $(if $(DUT),--dut "$(DUT)") --to out/coverage.html
	@$(COVERAGE_RUN) coverage plan "$(COVERAGE_DB)" $(if $(DUT),--dut "$(DUT)") || true
	@$(COVERAGE_RUN) coverage report "$(COVERAGE_DB)" $(if $(DUT),--dut "$(DUT)")

# Both sides of the oracle, with full figures (docs/oracle.md): SEEDS that have to pass, LIMIT within which
# each wrong behaviour has to be caught.
oracle-proof: build
	@$(COSIM) prove --seeds $(or $(SEEDS),10000) --limit $(or $(LIMIT),200) $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS))

# Speed of a preset under a stream of hits and under random tests, and what takes the time. Nothing else should run.
.PHONY: bench
bench: build
	@$(COSIM) bench --test hit-stream --times 50 --profile everything --seeds $(or $(SEEDS),8) $(COMMON)

# Deliberate bugs in scratch copies of rtl/: the regression has to find each.
mutants: setup
	@tools/mutants $(MUTANT)

# Long, and its tools are set up for it alone: not part of `make test`.
synth:
	@tools/setup --only synth
	@tools/synth $(if $(PRESETS),--presets $(PRESETS)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(AREA_ONLY),--area-only) $(if $(NO_ROUTE),--no-route)

# The same profile throughout: each Verilator's models are compiled once.
test: fmt lint clippy unit doc regression test-second test-small
	@echo "== make test: all passed"

test-second:
ifneq ($(SECOND_VERILATOR),)
	@echo "== once more, with $(SECOND_VERILATOR)"
	@if VERILATOR="$(SECOND_VERILATOR)" tools/setup --only verilator; then \
	    $(MAKE) --no-print-directory VERILATOR="$(SECOND_VERILATOR)" OUT=out/second lint models regression && \
	    tools/same-cycles out/first/run/results.json out/second/run/results.json && \
	    tools/same-cycles out/first/random/results.json out/second/random/results.json && \
	    tools/same-cycles out/first/profiles/results.json out/second/profiles/results.json; \
	else \
	    echo "== it is left out"; \
	fi
else
	@echo "== no second Verilator on PATH: one has to do"
endif

# Preset small has TimingCuts: other registers, other cycles. Last, as its model is compiled for this alone.
.PHONY: test-small preset
test-small:
	@echo "== preset small: short regression, random tests"
	@$(MAKE) --no-print-directory DUT=small OUT=out/small preset

preset: build
	@$(COSIM) run --short $(COMMON) --out $(OUT)/run
	@$(COSIM) random --profile everything --seeds 20 $(COMMON) --out $(OUT)/random

fmt:
	@echo "== rustfmt"
	@$(CARGO) fmt --all --check

lint: setup
	@echo "== lint"
	@tools/lint
	@tools/mutants --check

clippy: setup
	@echo "== clippy"
	@$(CARGO) clippy --release --workspace --all-targets -- -D warnings

unit: setup
	@echo "== unit and integration tests"
	@$(CARGO) test --release --workspace

# Tests of the models alone: they depend on the Verilator.
.PHONY: models
models: setup
	@echo "== tests of the models"
	@$(CARGO) test --release --package iommu-sim

doc: setup
	@echo "== documentation"
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps

# Results go where the second Verilator's are compared with the first's.
OUT ?= out/first
regression: build
	@echo "== short regression"
	@$(COSIM) run --short --out $(OUT)/run
	@$(COSIM) random --seeds 3 --out $(OUT)/random
	@echo "== every profile"
	@$(COSIM) random --profile all --seeds 2 --out $(OUT)/profiles
	@echo "== every profile, on the specification in software"
	@$(COSIM) random --profile all --seeds 2 --dut soft --out $(OUT)/soft
	@echo "== capabilities masked away: registers, commands and a random test under each (make masks: all tests)"
	@$(COSIM) masks --random 4 --test 'registers*' --test 'commands*' --profile smoke --out $(OUT)/masks
	@echo "== short regression of the stub"
	@$(COSIM) run --short --dut stub --out $(OUT)/stub
	@echo "== short regression of the stub with a bug: it has to fail"
	@$(COSIM) run --short --dut stub-bug --out $(OUT)/stub-bug >$(OUT)/stub-bug.log 2>&1; status=$$?; \
	if [ $$status -ne 1 ]; then cat $(OUT)/stub-bug.log; echo "the bug was not found (exit status $$status)"; exit 1; fi
	@tail -n 1 $(OUT)/stub-bug.log
	@echo "== the bug was found, as it has to be"

clean:
	@$(CARGO) clean
	@rm -rf out
