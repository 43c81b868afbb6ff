import io
import pickle

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from deepcolor.data import ColorizationDataModule, DamagedPhotoError, HuggingFacePhotos, open_photos

datasets = pytest.importorskip("datasets", reason="pip install datasets")


@pytest.fixture
def table(photo_folder):
    """The twelve photographs with labels: one by its path, one damaged, the others in bytes."""
    paths = sorted(photo_folder.rglob("*.jpg"))
    cells = [{"path": str(paths[0]), "bytes": None}]
    cells += [{"path": None, "bytes": path.read_bytes()} for path in paths[1:11]]
    cells += [{"path": None, "bytes": paths[11].read_bytes()[:200]}]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    return datasets.Dataset.from_dict({"image": cells, "label": list(range(12))}, features=features)


def test_a_table_gives_the_photographs_of_its_image_column(table, photo_folder):
    photos, folder = open_photos(table), open_photos(photo_folder)
    assert isinstance(photos, HuggingFacePhotos)
    assert len(photos) == 12
    assert all(torch.equal(photos[i], folder[i]) for i in range(11))
    with pytest.raises(DamagedPhotoError, match="row 11"):
        photos[11]


def test_a_table_is_read_the_same_in_workers_and_when_pickled(table):
    photos = open_photos(table.select(range(11)))
    alone = torch.stack(list(photos))
    assert torch.equal(torch.cat(list(DataLoader(photos, 4, num_workers=2))), alone)
    assert torch.equal(pickle.loads(pickle.dumps(photos))[3], photos[3])


def test_a_table_feeds_training_directly(table):
    data = ColorizationDataModule(table, size=32, batch_size=2, workers=0, held_out=2)
    data.setup()
    assert next(iter(data.train_dataloader())).shape == (2, 3, 32, 32)
    assert data.left_out["damaged"] == ["row 11"]
    with pytest.warns(UserWarning, match="row 11"):
        data.teardown()


def test_of_several_image_columns_one_must_be_named(table):
    table = table.add_column("again", [None] * 12).cast_column("again", datasets.Image())
    with pytest.raises(ValueError, match="several columns hold images: image, again"):
        open_photos(table)
    assert len(HuggingFacePhotos(table, column="image")) == 12
    with pytest.raises(
        ValueError, match=r"no column 'label' of images; columns: image, label, again"
    ):
        HuggingFacePhotos(table, column="label")


def test_what_is_no_table_of_images_is_refused(table):
    with pytest.raises(TypeError, match="give one of: train"):
        open_photos(datasets.DatasetDict({"train": table}))
    with pytest.raises(TypeError, match="load the data set without streaming=True"):
        open_photos(table.to_iterable_dataset())
    with pytest.raises(ValueError, match="no column of images; columns: label"):
        open_photos(table.remove_columns("image"))
    with pytest.raises(ValueError, match="no rows"):
        open_photos(table.select([]))


def test_rows_of_images_in_other_modes_become_rgb():
    buffer = io.BytesIO()
    Image.new("LA", (8, 8), (100, 50)).save(buffer, "PNG")
    features = datasets.Features({"photo": datasets.Image()})
    table = datasets.Dataset.from_dict(
        {"photo": [{"bytes": buffer.getvalue(), "path": None}]}, features=features
    )
    assert open_photos(table)[0].shape == (3, 8, 8)
