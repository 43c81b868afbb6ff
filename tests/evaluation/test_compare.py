"""The page needs nothing but itself, the sheets fit, and the order is by disagreement."""

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.metrics
from PIL import Image

import deepcolor
from deepcolor.evaluation import find_photographs
from deepcolor.evaluation.compare import THUMBNAIL, compare
from deepcolor.evaluation.page import as_html
from deepcolor.evaluation.sheets import CELL, ROWS, sheets

ODD = "cam <b>era&\"'.png"  # a name that a page must escape
VOID = {"meta", "img", "br", "link"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for name in ("chelsea", "coffee", "rocket"):
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((150, 150))
        image.save(root / f"{name}.png")
    Image.fromarray(skimage.data.camera()).resize((120, 120)).save(root / ODD)
    return root


@pytest.fixture(scope="module")
def predictors():
    predictor = deepcolor.Predictor("lite.photos", device="cpu")
    other = deepcolor.Predictor(
        deepcolor.load_model("lite.photos", temperature=1.0), device="cpu", size=128
    )
    return {"one": predictor, "<i>other</i>": other}


@pytest.fixture(scope="module")
def comparison(folder, predictors):
    return compare(find_photographs([folder]), predictors)


class Page(HTMLParser):
    """Checks that elements are closed in order, and keeps what matters."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str]] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        known = dict(attrs)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "srcset")]
        if tag == "img":
            self.images.append(known)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(comparison) -> Page:
    return Page(as_html(comparison))


def by_hand(folder, predictors, name: str) -> dict[str, np.ndarray]:
    with Image.open(folder / name) as image:
        truth = np.asarray(image.convert("RGB"))
    return {"truth": truth, **{title: p(truth) for title, p in predictors.items()}}


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return skimage.color.deltaE_ciede2000(
        skimage.color.rgb2lab(one), skimage.color.rgb2lab(other)
    ).mean()


def test_rows_are_sorted_by_the_distance_between_models(comparison, folder, predictors):
    want = {}
    for name in ("chelsea.png", "coffee.png", "rocket.png", ODD):
        results = by_hand(folder, predictors, name)
        want[name] = distance(results["one"], results["<i>other</i>"])
    have = {row.name: row.disagreement for row in comparison.rows}
    assert have == pytest.approx(want, rel=1e-3)
    assert list(have) == sorted(want, key=want.get, reverse=True)


def test_figures_under_each_picture_are_those_of_outside_references(comparison, folder, predictors):
    (row,) = (row for row in comparison.rows if row.name == "coffee.png")
    assert [p.title for p in row.pictures] == ["grey", "one", "<i>other</i>", "truth"]
    results = by_hand(folder, predictors, "coffee.png")
    for picture in row.pictures[1:3]:
        coloured = results[picture.title]
        psnr = skimage.metrics.peak_signal_noise_ratio(results["truth"], coloured)
        assert picture.figures["psnr"] == pytest.approx(psnr, abs=1e-3)
        far = distance(coloured, results["truth"])
        assert picture.figures["ciede2000"] == pytest.approx(far, rel=1e-3)
    assert set(row.pictures[-1].figures) == {"colourfulness"}


def test_a_grey_photograph_has_no_truth_and_no_figures_against_it(comparison, page):
    (row,) = (row for row in comparison.rows if row.name == ODD)
    assert [p.title for p in row.pictures] == ["grey", "one", "<i>other</i>"]
    assert all(set(p.figures) == {"colourfulness"} for p in row.pictures)
    assert len(page.images) == 3 * 4 + 3


def test_without_any_truth_there_is_no_such_column(folder, predictors):
    done = compare(find_photographs([folder / ODD]), predictors)
    assert done.titles == ["grey", *predictors]
    assert "truth" not in as_html(done).replace("none", "")


def test_one_model_is_sorted_by_its_distance_from_the_truth(folder, predictors):
    done = compare(find_photographs([folder]), {"one": predictors["one"]})
    (coffee,) = (row for row in done.rows if row.name == "coffee.png")
    assert coffee.disagreement == coffee.pictures[1].figures["ciede2000"]
    assert [row.disagreement for row in done.rows] == sorted(
        (row.disagreement for row in done.rows), reverse=True
    )


def test_the_page_is_whole_and_needs_nothing_from_outside(page):
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe", "b>", "i"}
    for image in page.images:
        data = base64.b64decode(image["src"].partition(",")[2])
        with Image.open(io.BytesIO(data)) as thumbnail:
            thumbnail.load()
            assert max(thumbnail.size) <= THUMBNAIL


def test_names_are_escaped(comparison, page):
    text = as_html(comparison)
    assert "<i>" not in text
    assert "<b>era" not in text
    assert ODD in page.text
    assert any(image["alt"] == f"{ODD}: <i>other</i>" for image in page.images)


def test_means_are_over_the_photographs_that_have_the_figure(comparison, page):
    means = comparison.means()
    rows = [row for row in comparison.rows if row.name != ODD]
    want = np.mean([row.pictures[1].figures["psnr"] for row in rows])
    assert means["one"]["psnr"] == pytest.approx(want)
    assert f"{want:.2f}" in page.text


def test_large_photographs_are_shrunk_and_pages_stay_small(tmp_path, predictors):
    Image.fromarray(skimage.data.coffee()).resize((1500, 1000)).save(tmp_path / "large.jpg")
    done = compare(find_photographs([tmp_path]), {"one": predictors["one"]}, short_side=100)
    assert len(as_html(done)) < 400_000
    for picture in done.rows[0].pictures:
        with Image.open(io.BytesIO(picture.jpeg)) as image:
            assert image.size == (150, 100)


def test_sheets_are_pages_of_six_rows(comparison):
    (sheet,) = sheets(comparison)
    assert sheet.width > 4 * CELL
    comparison = type(comparison)(comparison.models, comparison.rows * 2, comparison.options)
    pages = list(sheets(comparison))
    assert len(pages) == -(-len(comparison.rows) // ROWS) == 2
    paper = np.asarray(pages[1])
    assert (paper[-1] == 255).all()  # nothing is cut off
    assert (paper[:, -1] == 255).all()
    assert paper.std() > 30  # and something is on it


def test_a_bad_file_is_listed_and_the_rest_compared(folder, tmp_path, predictors):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    done = compare(find_photographs([folder, tmp_path]), {"one": predictors["one"]})
    assert len(done.rows) == 4
    assert [name for name, _ in done.problems] == ["bad.png"]
    assert "bad.png" in Page(as_html(done)).text
    with pytest.raises(ValueError, match=r"none of the 1 photographs can be compared: .*bad\.png"):
        compare(find_photographs([tmp_path]), {"one": predictors["one"]})
