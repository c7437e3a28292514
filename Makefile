# Two commands for a newcomer: `make demo` and `make test`. Everything happens in .venv; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := drsn_edge quantize firmware_bridge tests benchmarks examples docs

.PHONY: help demo test docs coverage integration check lint types rooms firmware pi-test pi-bench proof lock clean
.DELETE_ON_ERROR:

help:
	@echo "make demo         everything without hardware: simulate, train, convert, monitor (about 2 minutes with the install)"
	@echo "make test         the quick tests"
	@echo "make docs         the documentation site: build/docs/index.html"
	@echo "make coverage     the quick tests of what a gateway runs, and the share of its lines: fails below 90 %"
	@echo "make integration  tests with real parts: fresh environments, the wire, real recordings"
	@echo "make check        lint, types, firmware and make test"
	@echo "make rooms        the rooms of the code, the imports between them, and any circle (docs/development/architecture.md)"
	@echo "make firmware     the firmware of all boards, as far as their compilers are here, and its C tests"
	@echo "make pi-test      the gateway on emulated Raspberry Pis, with an emulated board on its port (about 5 minutes)"
	@echo "make pi-bench     instructions of one inference, and with MODEL=FILE of the whole monitor, on emulated Pis, for docs/RUNTIMES.md"
	@echo "make proof        the trainings behind docs/ACCURACY.md and the long runs: DATA=folder of the data sets; takes hours"
	@echo "make lock         pin the dependencies anew"
	@echo "make clean        remove .venv and caches"

demo: $(VENV)/train.stamp
	$(BIN)/drsn-edge demo

# One more than there are cores: a good part of the tests waits for sensors that send at their own pace.
ON_ALL_CORES := -n $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 ))) --maxprocesses 8 \
  --dist loadgroup --no-loadscope-reorder

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(ON_ALL_CORES)

docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/docs
	@echo "open build/docs/index.html"

# Tests of what a gateway never runs would take most of the time, as each line of TensorFlow would be looked at.
WORKSTATION := training conversion models evaluation reproduce demo examples datasets simulation inspection
coverage: $(VENV)/dev.stamp
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest $(ON_ALL_CORES) $(WORKSTATION:%=--ignore=tests/%)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

# Pages of the docs run side by side; the other tests watch clocks and have the machine to themselves.
DOCS_TESTS := tests/integration/test_documentation.py
integration: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m integration $(ON_ALL_CORES) $(DOCS_TESTS)
	$(BIN)/python -m pytest -m integration --ignore=$(DOCS_TESTS)

check: lint types firmware test

FIRMWARE := $(MAKE) --no-print-directory -C firmware_bridge/firmware
firmware:
	@$(FIRMWARE) -s test
	@for tool in avr-gcc arm-none-eabi-gcc simavr; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -z "$$missing" ] || [ -n "$$DRSN_EDGE_REQUIRE_PARTS" ]; then $(FIRMWARE) -s all; \
	else echo "only the host's firmware was built:$$missing not on this machine"; fi

pi-test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m integration tests/integration/test_pi.py

RUNTIMES_TABLES := $(BIN)/python benchmarks/runtime_tables.py --results docs/results --write docs/RUNTIMES.md
PI_MONITOR := $(BIN)/python benchmarks/pi_monitor.py --results docs/results/pi_monitor.json
pi-bench: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/pi_instructions.py --json > docs/results/pi_instructions.json.new; \
	  status=$$?; mv docs/results/pi_instructions.json.new docs/results/pi_instructions.json; \
	  if [ -n "$(MODEL)" ]; then $(PI_MONITOR) --model "$(MODEL)" || status=1; \
	  else echo "the monitor was not counted: name a bundle of 3 axes, MODEL=machine.drsn" >&2; fi; \
	  $(RUNTIMES_TABLES); exit $$status

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/dev.stamp
	$(BIN)/mypy

rooms:
	@$(PYTHON) tests/architecture/rooms.py

# Goes on where an earlier call stopped; remove docs/results/ to begin anew.
DATA ?= $(DRSN_EDGE_TEST_DATA)
proof: $(VENV)/train.stamp
	$(BIN)/drsn-edge reproduce paper --seeds 5 --data $(DATA) --results docs/results/accuracy.jsonl
	$(BIN)/drsn-edge reproduce splits --data $(DATA) --results docs/results/accuracy.jsonl --write docs/ACCURACY.md
	DRSN_EDGE_TEST_DATA=$(DATA) DRSN_EDGE_DEVICE_S=600 $(BIN)/python -m pytest -m integration \
	  tests/integration/test_firmware.py -k "real_waveform or streams_an_adxl345"
	$(BIN)/python -m pytest -q --hypothesis-profile=search tests/firmware_bridge tests/monitor tests/signal/test_windows.py
	DRSN_EDGE_KILLS=200 $(BIN)/python -m pytest -m integration tests/integration/test_history_kill.py
	$(BIN)/python benchmarks/open_set.py --data $(DATA) --results docs/results/open_set.jsonl
	$(BIN)/drsn-edge demo --speed 0 --out drsn-edge-demo
	$(BIN)/python benchmarks/false_alarms.py --model drsn-edge-demo/demo.drsn --work .proof/days \
	  --results docs/results/false_alarms.json
	$(BIN)/drsn-edge train --data $(DATA)/cwru --hold-out load_hp=3 --inputs waveform \
	  --out .proof/cwru --force
	$(BIN)/drsn-edge convert .proof/cwru --out .proof/cwru.drsn
	$(BIN)/python benchmarks/day.py --model .proof/cwru.drsn --data $(DATA)/cwru --results docs/results/day.json
	$(BIN)/python tests/fuzz_run.py --seconds 600 --results docs/results/fuzz.json
	$(BIN)/python tests/runs/fuzz_readers.py --seconds 600 --results docs/results/fuzz_readers.json
	$(BIN)/python tests/runs/crash_run.py --results docs/results/crashes.json
	$(BIN)/python tests/runs/fault_run.py --blocks 1000000 --results docs/results/faults.json

# The environment: hashed, locked requirements, then this folder itself without any dependency resolution.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; ok = (3, 10) <= sys.version_info[:2] <= (3, 13); sys.exit(None if ok else \
	  "drsn-edge needs Python 3.10 to 3.13, %s is %d.%d. Choose another: make PYTHON=python3.12 ..." \
	  % ((sys.executable,) + sys.version_info[:2]))'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python's venv module is missing; on Debian: apt install python3-venv" >&2; exit 1; }

$(VENV)/%.stamp: requirements/%.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install -q --require-hashes -r $<
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

lock:
	cd requirements && for name in gateway train docs dev tflite-runtime; do \
	  case $$name in gateway) extra= ;; train|docs) extra="--extra $$name --extra build" ;; *) extra="--extra $$name" ;; esac; \
	  uv pip compile --universal --generate-hashes --python-version 3.10 --no-config -c constraints.txt \
	    --custom-compile-command "make lock" $$extra ../pyproject.toml -o $$name.txt || exit 1; done

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* build dist
