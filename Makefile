# make colorize PHOTO=old.jpg    colour a photograph: writes old.color.png beside it
# make colorize                  the same with a photograph that scikit-image carries
# make test                      the whole test suite, two files at a time
# Both make .venv first, and need nothing but make and Python 3.10 or newer.

PYTHON ?= python3
PHOTO ?=
BIN := .venv/bin

.PHONY: colorize test check

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/.tested: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

ifeq ($(PHOTO),)
colorize: .venv/.installed
	@$(BIN)/python -m pip install --quiet scikit-image
	@$(BIN)/python -c "import skimage.data as d; from PIL import Image; \
	  Image.fromarray(d.astronaut()).convert('L').save('astronaut.png')"
	@$(BIN)/deepcolor colorize astronaut.png
else
colorize: .venv/.installed
	@$(BIN)/deepcolor colorize "$(PHOTO)"
endif

test: .venv/.tested
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
