# make demo: text in, classifier out.  make test: the tests without the slow ones.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Two workers with one thread each are faster than one worker with two threads, because the networks are small.
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2
# What the photographs of plugins/tina-photos/tina_photos/demo show. Neither ImageNet nor CIFAR-100 has one of the first seven names.
DEMO := dandelion giraffe moose scissors "solar panel" "tape measure" windmill goldfish hammer koala

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-exports test-plugins test-lowest test-sdist package attack docs lint prose format clean

help:
	@echo "make demo       install into $(VENV), generate a classifier of ten things, and show it photographs"
	@echo "make test       the tests without the slow ones"
	@echo "make test-slow  the slow tests (set TINA_TEST_CIFAR100 to include those on real data)"
	@echo "make test-exports  the tests of the export formats executorch and tflite, whose packages need environments of their own"
	@echo "make test-plugins  the tests of the first-party plugins, all of them"
	@echo "make test-lowest  the tests without the slow ones, with the lowest versions that pyproject.toml allows"
	@echo "make package    build sdists and wheels into dist/ and check them"
	@echo "make test-sdist some tests, run from the unpacked sdist"
	@echo "make attack     kill, mutate and disturb all that is written (an hour; MINUTES=10 takes a sample)"
	@echo "make docs       build the site of the documents into build/site"
	@echo "make lint       ruff, mypy and the import layers"
	@echo "make prose      list sentences and lines of documents that are too long"
	@echo "make format     let ruff rewrite the sources"

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# Each first-party plugin is a separate distribution. They are installed into a second environment, which uses the libraries of the
# first one. The demo's plugin is in the first one, too, where the tests disable it: they see no plugin.
PLUGINS := $(sort $(wildcard plugins/*))
PLUGIN_VENV := $(VENV)/plugins
PLUGIN_PYTHON := $(PLUGIN_VENV)/$(notdir $(BIN))/python

# These stamp files prevent another installation until pyproject.toml changes.
$(VENV)/.test-installed: pyproject.toml | $(VENV)/.created
	@echo "Installing into $(VENV); the first time, this downloads PyTorch and takes some minutes."
	@$(PIP) install --quiet --editable '.[test]'
	@touch $@

# The demo needs no package of the tests.
$(VENV)/.photos-installed: pyproject.toml plugins/tina-photos/pyproject.toml | $(VENV)/.created
	@echo "Installing into $(VENV); the first time, this downloads PyTorch and takes some minutes."
	@$(PIP) install --quiet --editable . --editable ./plugins/tina-photos
	@touch $@

$(VENV)/.dev-installed: pyproject.toml | $(VENV)/.created
	@$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.test-installed

$(VENV)/.plugins-installed: pyproject.toml $(wildcard plugins/*/pyproject.toml) | $(VENV)/.test-installed
	@$(BIN)/python -m venv --without-pip $(PLUGIN_VENV)
	@$(BIN)/python -c 'import pathlib, sysconfig; paths = sysconfig.get_paths(); print(pathlib.Path.cwd(), paths["purelib"], sep="\n")' \
		> "$$($(PLUGIN_PYTHON) -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/libraries.pth"
	@$(PIP) --python $(PLUGIN_PYTHON) install --quiet $(foreach plugin,$(PLUGINS),--editable './$(plugin)[test]')
	@touch $@

demo: $(VENV)/.photos-installed
	@$(BIN)/tina generate $(DEMO) --model photos --contact-sheet contact-sheet.png

test test-slow: export OMP_NUM_THREADS := 1

test: $(VENV)/.test-installed
	@$(PYTEST) -n $(WORKERS) -m "not slow"

test-slow: $(VENV)/.test-installed
	@$(PYTEST) -n $(WORKERS) -m slow

test-plugins: export OMP_NUM_THREADS := 1

test-plugins: $(VENV)/.plugins-installed
	@$(PLUGIN_PYTHON) -m pytest -n $(WORKERS) -m "slow or not slow" plugins

# The packages of these export formats are large, and one needs an older pydantic. So each format has its own environment, which uses
# the libraries of the first one. pip may report conflicts with packages that these tests do not use.
EXPORTS := executorch tflite

$(EXPORTS:%=$(VENV)/.%-installed): $(VENV)/.%-installed: pyproject.toml | $(VENV)/.test-installed
	@echo "Installing the packages of the format $* into $(VENV)/$*."
	@$(BIN)/python -m venv --without-pip $(VENV)/$*
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' \
		> "$$($(VENV)/$*/$(notdir $(BIN))/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/libraries.pth"
	@$(PIP) --python $(VENV)/$*/$(notdir $(BIN))/python install --quiet --editable '.[$*]'
	@touch $@

test-exports: export OMP_NUM_THREADS := 1

test-exports: $(EXPORTS:%=$(VENV)/.%-installed)
	@for format in $(EXPORTS); do \
		$(VENV)/$$format/$(notdir $(BIN))/python -m pytest -m "slow or not slow" tests/builtins/exporters/test_$$format.py || exit 1; \
	done

# uv is the installer that can choose the lowest versions. They hold for the oldest Python: newer ones lack builds of old packages.
LOWEST := $(VENV)/lowest
LOWEST_PYTHON := $(LOWEST)/$(notdir $(BIN))/python
UV := $(BIN)/python -m uv --quiet

$(VENV)/.lowest-installed: pyproject.toml | $(VENV)/.dev-installed
	@echo "Installing the lowest versions into $(LOWEST); the first time, this downloads another PyTorch."
	@$(UV) venv --clear --python $(BIN)/python $(LOWEST)
	@$(UV) pip compile --resolution lowest-direct --extra test --python $(LOWEST_PYTHON) pyproject.toml \
		--output-file $(LOWEST)/requirements.txt
	@# torch 2.9 imports setuptools when it compiles a network, and does not require it.
	@$(UV) pip install --python $(LOWEST_PYTHON) --requirement $(LOWEST)/requirements.txt setuptools
	@$(UV) pip install --python $(LOWEST_PYTHON) --no-deps --editable .
	@touch $@

test-lowest: export OMP_NUM_THREADS := 1

test-lowest: $(VENV)/.lowest-installed
	@$(LOWEST_PYTHON) -m pytest -n $(WORKERS) -m "not slow"

SDIST_TESTS := tests/storage tests/prompts tests/classifier tests/generator tests/release

# The core and each plugin: sdist and wheel, of the files that git tracks.
package: $(VENV)/.dev-installed
	@$(BIN)/python release/build.py dist
	@$(BIN)/twine check --strict dist/*

test-sdist: export OMP_NUM_THREADS := 1

test-sdist: package
	@rm -rf build/sdist && mkdir -p build/sdist && tar -xzf dist/tina_framework-*.tar.gz -C build/sdist --strip-components=1
	@cd build/sdist && PYTHONPATH=$(CURDIR)/build/sdist $(CURDIR)/$(BIN)/python -m pytest -n $(WORKERS) $(SDIST_TESTS)

# Built-ins only: the plugin of the demo is not under attack.
attack: export TINA_ALLOW_PLUGINS :=

attack: $(VENV)/.test-installed
	@$(BIN)/python -m tests.attack $(if $(MINUTES),--minutes $(MINUTES))

docs: $(VENV)/.dev-installed
	@$(BIN)/python -m sphinx -b html -W --keep-going --quiet -c docs -d build/doctrees . build/site
	@echo "Open build/site/index.html in a browser."

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

prose:
	@$(PYTHON) tests/prose.py *.md docs/*.md docs/*/*.md benchmarks/*.md examples/*/README.md plugins/*/README.md

format: $(VENV)/.dev-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
