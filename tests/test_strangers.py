"""The script that runs other projects' files must see what is wrong, or its tables say nothing."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import skimage.color
import skimage.data
import tifffile
from PIL import Image

HERE = Path(__file__).parent
sys.path.append(str(HERE))
import second_opinion  # noqa: E402


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    """(60, 80) uint8, a real photograph."""
    return np.array(Image.fromarray(skimage.data.camera()).resize((80, 60)))


def script(*arguments: str, code: str = "") -> subprocess.CompletedProcess:
    command = ["-c", code] if code else [str(HERE / "strangers.py"), *arguments]
    folders = [str(HERE), str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment, timeout=200
    )


def test_a_folder_is_sorted_and_compared(tmp_path, grey):
    folder, out = tmp_path / "files", tmp_path / "out"
    (folder / "good").mkdir(parents=True)
    (folder / "bad").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(grey).save(folder / "good/turned.jpg", exif=exif)
    Image.fromarray(grey).convert("RGBA").save(folder / "good/alpha.png")
    deep = grey.astype(np.uint16) * 257
    (folder / "good/deep.png").write_bytes(imagecodecs.png_encode(np.dstack([deep] * 4)))
    tifffile.imwrite(folder / "good/planes.tif", np.stack([grey] * 3), photometric="rgb",
                     planarconfig="separate")  # fmt: skip
    (folder / "bad/cut.jpg").write_bytes((folder / "good/turned.jpg").read_bytes()[:900])
    (folder / "bad/words.txt").write_text("no picture")
    done = script(str(folder), "--out", str(out), "--size", "32")
    assert done.returncode == 0, done.stdout + done.stderr
    with (out / "results.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "turned.jpg": "coloured", "alpha.png": "coloured", "deep.png": "coloured",
        "planes.tif": "coloured", "cut.jpg": "refused", "words.txt": "refused",
    }  # fmt: skip
    for row in rows.values():
        assert row["leaks"] == ""
        if row["outcome"] == "coloured":
            assert row["sure"] == "yes"
            assert float(row["l_max"]) < (0.02 if row["file"] == "deep.png" else 1.1)
            assert {row["alpha_ok"], row["size_ok"], row["depth_ok"]} == {"True"}
    assert (rows["turned.jpg"]["width"], rows["turned.jpg"]["height"]) == ("60", "80")
    again = script(str(folder), "--out", str(out), "--against", str(out / "results.csv"))
    assert "deepcolor of" not in again.stdout  # nothing is run twice
    assert "good" in (out / "table.txt").read_text()


FAKES = """
import os, subprocess, sys, time, warnings
from pathlib import Path
from PIL import Image
import strangers, deepcolor

def hang(path): time.sleep(60)
def crash(path): os.abort()
def door(path): subprocess.run(["true"]); return Image.new("RGB", (4, 4))
def stumble(path): raise KeyError("x")
def silent(path): raise deepcolor.ImageError("damaged")
def eat(path): bytearray(300 << 20); return Image.new("RGB", (4, 4))
def burst(path): bytearray(3 << 30)
def print_it(path): os.write(2, b"libtiff says"); return Image.new("RGB", (4, 4))
def warn(path): warnings.warn("Corrupt EXIF data"); return Image.new("RGB", (4, 4))
def name_it(path): warnings.warn(f"{path} has three pages"); return Image.new("RGB", (4, 4))

path = Path(sys.argv[0]).parent / "none.png"
for fake in (hang, crash, door, stumble, silent, eat, burst, print_it, warn, name_it):
    row = strangers.one(path, fake, 1024, 20 if fake is not hang else 1)
    print(fake.__name__, row["outcome"], row.get("kind"), row["leaks"], row.get("peak_mb"), sep="|")
"""


def test_whatever_a_file_does_is_seen():
    done = script(code=FAKES)
    rows = {line.split("|")[0]: line.split("|")[1:] for line in done.stdout.splitlines()}
    assert rows["hang"][:2] == ["other", "timeout"], done.stderr
    assert rows["crash"][:2] == ["other", "signal 6"]
    assert rows["door"][:2] == ["other", "door"]
    assert rows["stumble"][:2] == ["other", "KeyError"]
    assert rows["silent"][:2] == ["refused", "ImageError, picture not named"]
    assert rows["burst"][:2] == ["other", "MemoryError"]
    assert float(rows["eat"][3]) > 250
    assert rows["print_it"][2] == "output: libtiff says"
    assert rows["warn"][2] == "UserWarning: Corrupt EXIF data"
    assert rows["name_it"][:3] == ["coloured", "", ""]


def test_lightness_is_that_of_skimage():
    rng = np.random.default_rng(0)
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        rgb = rng.integers(0, top + 1, (9, 7, 3), dtype=dtype)
        np.testing.assert_allclose(
            second_opinion.lightness(rgb, top), skimage.color.rgb2lab(rgb)[..., 0], atol=1e-9
        )


def test_differences_are_found(grey):
    known = second_opinion.Known(grey[..., None], 255, alpha=grey / 255)
    good = Image.fromarray(grey).convert("RGB")
    good.putalpha(Image.fromarray(grey))
    found = second_opinion.differences(known, good)
    assert found == {
        "size_ok": True, "depth_ok": True, "alpha_ok": True, "l_max": 0.0, "l_mean": 0.0,
    }  # fmt: skip
    one_pixel = good.copy()
    one_pixel.putpixel((3, 4), (*(int(v) ^ 8 for v in good.getpixel((3, 4))[:3]), int(grey[4, 3])))
    assert second_opinion.differences(known, one_pixel)["l_max"] > 1.1
    faded = good.copy()
    faded.putpixel((3, 4), (*good.getpixel((3, 4))[:3], int(grey[4, 3]) ^ 1))
    assert second_opinion.differences(known, faded)["alpha_ok"] is False
    assert second_opinion.differences(known, good.convert("RGB"))["alpha_ok"] is False
    assert second_opinion.differences(known, good.rotate(90, expand=True))["size_ok"] is False
    deep = second_opinion.Known(grey[..., None].astype(np.uint16) * 257, 65535, bits=16)
    assert second_opinion.differences(deep, good.convert("RGB"))["depth_ok"] is False


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_reference_is_upright(turn, grey, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    image = Image.fromarray(grey)
    image.save(tmp_path / "a.png", exif=exif)
    tifffile.imwrite(tmp_path / "a.tif", grey, extratags=[(274, 3, 1, turn, True)])
    steps = {2: [0], 3: [3], 4: [1], 5: [5], 6: [4], 7: [6], 8: [2]}
    turned = image
    for step in steps.get(turn, []):
        turned = turned.transpose(Image.Transpose(step))
    for name in ("a.png", "a.tif"):
        levels = second_opinion.reference(tmp_path / name).levels
        np.testing.assert_array_equal(levels[..., 0], np.asarray(turned))


@pytest.mark.parametrize("bits", [1, 4, 12, 14, 16, 32])
def test_the_reference_knows_the_bits_of_a_tiff(bits, grey, tmp_path):
    top = 2**bits - 1
    dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    array = np.round(grey / 255 * top).astype(dtype)
    options = {} if bits in (8, 16, 32) else {"bitspersample": bits}
    for photometric in ("minisblack", "miniswhite"):
        stored = array if photometric == "minisblack" else (top - array).astype(dtype)
        tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric, **options)
        known = second_opinion.reference(tmp_path / "a.tif")
        np.testing.assert_allclose(known.levels[..., 0] / known.top, array / top, atol=1e-6)
        assert known.bits == bits


def test_what_may_be_read_otherwise_is_not_sure(grey, tmp_path):
    Image.fromarray(grey).convert("CMYK").save(tmp_path / "cmyk.jpg")
    tifffile.imwrite(tmp_path / "scale.tif", grey.astype(np.float32) * 3)
    for name in ("cmyk.jpg", "scale.tif"):
        with pytest.raises(second_opinion.UnsureError):
            second_opinion.reference(tmp_path / name)
