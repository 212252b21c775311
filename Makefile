# make demo   install everything into .venv and run the demo (PORT=9000 if 8080 is taken)
# make dist   build wheels and sdists of every distribution, a bill of materials and digests (ADDRESS=URL of the project)
# make docs   build the documentation site into .cache/site/VERSION
# make test   run all checks: tests on each Python found, lint, types, architecture, wheels

# Interpreters that pyenv manages are found by their own folders: its shims answer for versions that are switched off.
PYENV_BINS := $(foreach v,3.11 3.12 3.13,$(lastword $(sort $(wildcard $(HOME)/.pyenv/versions/$(v).*/bin))))
empty :=
space := $(empty) $(empty)
export PATH := $(subst $(space),:,$(strip $(PYENV_BINS)))$(if $(strip $(PYENV_BINS)),:)$(PATH)

PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13,$(shell PATH='$(PATH)'; command -v python$(v))) python3)
PORT ?= 8080
DISTRIBUTIONS := $(patsubst %/pyproject.toml,./%,core/pyproject.toml plugin-sdk/pyproject.toml $(sort $(wildcard plugins/*/pyproject.toml)))
SOURCES := $(patsubst ./%,%/pyproject.toml,$(DISTRIBUTIONS))

.PHONY: demo dist docs test clean

demo: .venv/installed
	@exec .venv/bin/gateway demo --port $(PORT)

.venv/installed: $(SOURCES) constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(addprefix -e ,$(DISTRIBUTIONS))
	@touch $@

test: .cache/tox/installed
	.cache/tox/bin/python -m tox run-parallel --parallel 2 --parallel-live --parallel-no-spinner

.cache/tox/installed: constraints.txt
	$(PYTHON) -m venv .cache/tox
	.cache/tox/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt tox
	@touch $@

dist: .cache/dist/installed
	.cache/dist/bin/python -m deploy.distributions --into dist $(if $(ADDRESS),--address $(ADDRESS))

.cache/dist/installed: constraints.txt
	$(PYTHON) -m venv .cache/dist
	.cache/dist/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt cyclonedx-bom hatchling PyYAML twine
	@touch $@

docs: .cache/docs/installed
	.cache/docs/bin/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . .cache/site/$$(.cache/docs/bin/python -c "import gateway_core; print(gateway_core.__version__)")

.cache/docs/installed: $(SOURCES) constraints.txt
	$(PYTHON) -m venv .cache/docs
	.cache/docs/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ./core -e ./plugin-sdk furo myst-parser pytest sphinx
	@touch $@

clean:
	rm -rf .venv .cache .tox dist demo
