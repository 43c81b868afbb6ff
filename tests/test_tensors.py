"""Whoever reads weights, of whatever part, reads them alike: no code, no bombs, in words."""

import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from deepcolor.blocks.backbones import read_weights
from deepcolor.blocks.vgg import expected_preprocessing
from deepcolor.models.lite import read_encoder_weights
from deepcolor.tensors import WeightsError, read_state

READERS = {
    "any": lambda path: read_state(Path(path)),
    "backbones": read_weights,
    "lite": read_encoder_weights,
    "vgg": expected_preprocessing,
}
STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def nested(path: Path) -> None:
    value = ()
    for _ in range(200):
        value = (value,)
    torch.save({"a": torch.ones(1), "b": value}, path)


def packed(path: Path) -> None:
    """Twenty megabytes of zeros in twenty kilobytes."""
    torch.save({"a": torch.zeros(5_000_000)}, path.with_suffix(".plain"))
    with (
        zipfile.ZipFile(path.with_suffix(".plain")) as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
    ):
        for part in plain.infolist():
            file.writestr(part.filename, plain.read(part))


def stretched(path: Path) -> None:
    torch.save({"a": torch.zeros(1).as_strided((1 << 40,), (0,))}, path)


def short(path: Path) -> None:
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-5])


def long_header(path: Path) -> None:
    path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}")


STRANGE = {
    "code.pth": (lambda p: torch.save({"a": print}, p), "more than tensors, which may be code"),
    "list.pth": (lambda p: torch.save([1, 2], p), "a state dict maps names to tensors"),
    "numbers.pth": (lambda p: torch.save({"a": 3}, p), "a state dict maps names to tensors"),
    "sparse.pth": (lambda p: torch.save({"a": torch.eye(3).to_sparse()}, p), "a is sparse"),
    "nested.pth": (nested, "nests tuples more than 100 deep"),
    "packed.pth": (packed, "its archive is packed"),
    "stretched.pth": (stretched, "a claims more numbers than the file holds"),
    "text.pth": (lambda p: p.write_text("weights"), "not a readable PyTorch file"),
    "empty.pt": (lambda p: p.touch(), "not a readable PyTorch file"),
    "text.safetensors": (lambda p: p.write_text("weights"), "not a readable safetensors file"),
    "empty.safetensors": (lambda p: p.touch(), "not a readable safetensors file"),
    "short.safetensors": (short, "its header speaks of"),
    "header.safetensors": (long_header, "a header of 1,152,921,504,606,846,976 bytes"),
}


@pytest.mark.filterwarnings(
    "ignore:Validating sparse tensor invariants"
)  # torch's own, before ours
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", STRANGE)
def test_damaged_and_foreign_files_are_refused_in_words(reader, name, tmp_path):
    write, said = STRANGE[name]
    write(tmp_path / name)
    with pytest.raises(WeightsError, match=rf"{name}.*{said}") as caught:
        reader(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.bin", "old.pt"])
def test_a_state_dict_is_read_as_it_is(name, tmp_path):
    if name == "a.safetensors":
        save_file(STATE, tmp_path / name)
    else:
        torch.save(STATE, tmp_path / name, _use_new_zipfile_serialization=name != "old.pt")
    for reader in ("any", "backbones", "lite"):
        found = READERS[reader](str(tmp_path / name))
        assert found.keys() == STATE.keys()
        assert all(torch.equal(found[key], STATE[key]) for key in STATE)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for reader in READERS.values():
        with pytest.raises(FileNotFoundError, match=r"none\.pth"):
            reader(str(tmp_path / "none.pth"))
