"""Test the data set ``image-folder``."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tina_framework.builtins.datasets.image_folder import image_folder
from tina_framework.errors import ConfigError, DataError
from tina_framework.images import pictures
from tina_framework.interfaces.dataset import Dataset

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(path: Path, colour: tuple[int, int, int] = RED, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


class TestSplitFolders:
    def test_three_splits(self, tmp_path):
        for split, number in (("train", 3), ("validation", 2), ("test", 1)):
            for i in range(number):
                picture(tmp_path / split / "Red_thing" / f"{i}.png", RED)
                picture(tmp_path / split / "blue" / f"{i}.jpg", BLUE)
        data = image_folder(str(tmp_path))
        assert isinstance(data, Dataset)
        assert data.name == f"image-folder:{tmp_path}"
        assert data.class_names == ("blue", "red thing")
        assert data.superclasses is None
        assert data.load("train").labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert data.load("validation").labels.tolist() == [0, 0, 1, 1]
        assert data.load("test").labels.tolist() == [0, 1]
        assert data.load("test").images.shape == (2, 32, 32, 3)
        assert (data.load("test").images[1] == RED).all()

    def test_without_validation_the_last_tenth_by_name(self, tmp_path):
        for i in range(20):
            picture(tmp_path / "train" / "a" / f"{i:02}.png", (i, 0, 0))
            picture(tmp_path / "train" / "b" / f"{i:02}.png", (100 + i, 0, 0))
        data = image_folder(tmp_path)
        assert data.load("validation").images[:, 0, 0, 0].tolist() == [18, 19, 118, 119]
        assert len(data.load("train")) == 36
        with pytest.raises(DataError, match="no split 'test'"):
            data.load("test")

    def test_splits_by_synonym_and_case(self, tmp_path):
        for split, number in (("Training", 3), ("val", 2), ("EVAL", 1)):
            for i in range(number):
                picture(tmp_path / split / "a" / f"{i}.png")
                picture(tmp_path / split / "b" / f"{i}.png")
        data = image_folder(tmp_path)
        assert [len(data.load(split)) for split in ("train", "validation", "test")] == [6, 4, 2]

    def test_a_folder_beside_the_splits(self, tmp_path):
        for folder in ("train/a", "train/b", "holdout/a"):
            picture(tmp_path / folder / "0.png")
        with pytest.raises(DataError, match="holdout' lies beside folders of splits but is not a split"):
            image_folder(tmp_path)

    def test_composed_and_decomposed_names_are_one_class(self, tmp_path):
        for folder in ("train/caf\u00e9", "train/b", "test/cafe\u0301", "test/b"):
            picture(tmp_path / folder / "0.png")
            picture(tmp_path / folder / "1.png")
        data = image_folder(tmp_path)
        assert data.class_names == ("b", "caf\u00e9")
        assert data.load("test").labels.tolist() == [0, 0, 1, 1]
        picture(tmp_path / "train" / "CAFE\u0301" / "0.png")
        with pytest.raises(DataError, match="are the same class 'caf\u00e9'"):
            image_folder(tmp_path)

    def test_an_extra_class(self, tmp_path):
        for folder in ("train/a", "train/b", "test/c"):
            picture(tmp_path / folder / "0.png")
        with pytest.raises(DataError, match=r"c' is a class that .*train' lacks"):
            image_folder(tmp_path)


class TestHashedNames:
    @pytest.fixture
    def folder(self, tmp_path):
        for i in range(250):
            picture(tmp_path / "a" / f"{i}.png", (i, 0, 0), (2, 2))
            picture(tmp_path / "train" / f"{i}.png", (i, 9, 0), (2, 2))  # a class may be called "train"
        return tmp_path

    def test_shares(self, folder):
        data = image_folder(folder, size=2)
        assert data.class_names == ("a", "train")
        parts = {split: data.load(split) for split in ("train", "validation", "test")}
        sizes = {split: len(part) for split, part in parts.items()}
        assert sum(sizes.values()) == 500
        assert sizes["train"] == pytest.approx(400, abs=30)  # standard deviation 9
        assert sizes["test"] == pytest.approx(50, abs=22)
        pixels = [tuple(image[0, 0]) for part in parts.values() for image in part.images]
        assert len(set(pixels)) == 500

    def test_new_pictures_do_not_move_others(self, folder):
        before = {tuple(image[0, 0]) for image in image_folder(folder, size=2).load("test").images}
        for i in range(40):
            picture(folder / "a" / f"more{i}.png", (i, 200, 0), (2, 2))
        after = {tuple(image[0, 0]) for image in image_folder(folder, size=2).load("test").images}
        assert before < after

    @pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 8])
    def test_small_classes_are_in_every_split(self, tmp_path, number):
        for name in "abcdefgh":
            for i in range(number):
                picture(tmp_path / name / f"{i}.png", size=(2, 2))
        data = image_folder(tmp_path, size=2)
        assert (np.bincount(data.load("train").labels, minlength=8) >= 1).all()
        if number < 2:
            with pytest.raises(DataError, match="no validation images"):
                data.load("validation")
        else:
            assert (np.bincount(data.load("validation").labels, minlength=8) >= 1).all()
        if number < 3:
            with pytest.raises(DataError, match="no test images"):
                data.load("test")
        else:
            assert (np.bincount(data.load("test").labels, minlength=8) >= 1).all()

    def test_odd_file_names(self, tmp_path):
        for folder in ("a", "b"):
            for i in range(4):
                picture(tmp_path / folder / f"{i}.png")
            picture(tmp_path / folder / "line\nbreak.png")
            picture(tmp_path / folder / os.fsdecode(b"\xff.png"))
        data = image_folder(tmp_path)
        assert sum(len(data.load(split)) for split in ("train+validation", "test")) == 12


class TestPictures:
    def test_training_and_prediction_read_the_same_pixels(self, tmp_path):
        ramp = np.linspace(0, 1, 48 * 40, dtype=np.float32).reshape(40, 48)
        photo = np.random.default_rng(0).integers(0, 256, (700, 1100, 3), dtype=np.uint8)
        given = {
            "float.tif": Image.fromarray(ramp),
            "deep.tif": Image.fromarray((ramp * 65535).astype(np.int32)),
            "deep.png": Image.fromarray((ramp * 65535).astype(np.uint16)),
            "photo.jpg": Image.fromarray(photo),
            "palette.gif": Image.fromarray(photo[:90]).convert("P"),
            "ink.tif": Image.fromarray(photo[:50]).convert("CMYK"),
            "clear.png": Image.fromarray(photo[:50]).convert("RGBA"),
            "wide.png": Image.fromarray(photo[:20]),
        }
        for name, image in given.items():
            (tmp_path / "train" / "a").mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "train" / "a" / name)
        picture(tmp_path / "train" / "b" / "0.png")
        loaded = image_folder(tmp_path, size=16).load("train").images
        expected = pictures([tmp_path / "train" / "a" / name for name in sorted(given)], (16, 16))
        # The last picture of the class is in the validation split.
        np.testing.assert_array_equal(loaded[: len(given) - 1], expected[:-1])

    def load_one(self, tmp_path: Path, image: Image.Image, name: str = "0.png", size: int = 8, **options) -> np.ndarray:
        for folder in ("a", "b"):
            (tmp_path / "train" / folder).mkdir(parents=True)
            picture(tmp_path / "train" / folder / "1.png")
        image.save(tmp_path / "train" / "a" / name, **options)
        return image_folder(tmp_path, size=size).load("train").images[0]

    def test_exif_rotation(self, tmp_path):
        image = Image.new("RGB", (8, 8), BLUE)
        image.paste(RED, (0, 0, 8, 4))  # red above
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise: red on the right
        loaded = self.load_one(tmp_path, image, exif=exif.tobytes())
        assert (loaded[:, 6] == RED).all()
        assert (loaded[:, 1] == BLUE).all()

    def test_transparency_becomes_white(self, tmp_path):
        assert (self.load_one(tmp_path, Image.new("RGBA", (8, 8), (255, 0, 0, 0))) == 255).all()

    def test_transparency_of_a_palette(self, tmp_path):
        image = Image.new("P", (8, 8), 1)
        image.putpalette([0, 0, 0, 255, 0, 0])
        assert (self.load_one(tmp_path, image, "0.gif", transparency=1) == 255).all()

    @pytest.mark.parametrize("mode", ["L", "LA", "1", "CMYK", "I;16"])
    def test_modes(self, tmp_path, mode):
        value = {"L": 255, "LA": (255, 255), "1": 1, "CMYK": (0, 0, 0, 0), "I;16": 65535}[mode]
        loaded = self.load_one(tmp_path, Image.new(mode, (5, 9), value), "0.tif")
        assert loaded.shape == (8, 8, 3)
        assert (loaded == 255).all()

    def test_16_bit_grey_is_scaled(self, tmp_path):
        assert (self.load_one(tmp_path, Image.new("I;16", (8, 8), 128 * 257)) == 128).all()

    def test_the_centre_is_cropped(self, tmp_path):
        image = Image.new("RGB", (24, 8), RED)
        image.paste(BLUE, (8, 0, 16, 8))
        assert (self.load_one(tmp_path, image) == BLUE).all()

    def test_a_pipe_is_one_sentence(self, tmp_path):
        for folder in ("a", "b"):
            picture(tmp_path / "train" / folder / "0.png")
        os.mkfifo(tmp_path / "train" / "a" / "1.png")
        with pytest.raises(DataError, match=r"1\.png' cannot be read \(it is a pipe"):
            image_folder(tmp_path).load("train")

    def test_pictures_that_are_too_large(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
        with pytest.raises(DataError, match=r"2\.png' is too large"):
            self.load_one(tmp_path, Image.new("RGB", (10, 10)), "2.png")

    def test_other_files_are_ignored(self, tmp_path):
        picture(tmp_path / "train" / "c" / "1.png")
        (tmp_path / "train" / "c" / "notes.txt").write_text("no picture")
        (tmp_path / "train" / "c" / ".hidden.png").write_text("no picture")
        (tmp_path / "train" / "c" / "features.h5").write_bytes(b"no picture")
        (tmp_path / "train" / "c" / "Thumbs.db").write_bytes(b"no picture")
        (tmp_path / "train" / "c" / "crop.png").mkdir()
        (tmp_path / "train" / ".git").mkdir()
        (tmp_path / "train" / "@eaDir").mkdir()
        (tmp_path / "__MACOSX").mkdir()
        self.load_one(tmp_path, Image.new("RGB", (8, 8)))
        assert image_folder(tmp_path).class_names == ("a", "b", "c")


class TestBadFolders:
    @pytest.mark.parametrize("damage", ["empty", "truncated"])
    def test_an_unreadable_picture_is_named(self, tmp_path, damage):
        for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
            picture(tmp_path / "train" / name, size=(64, 64))
        bad = tmp_path / "train" / "b" / "0.png"
        bad.write_bytes(b"" if damage == "empty" else bad.read_bytes()[:60])
        with pytest.raises(DataError, match=r"0\.png' cannot be read"):
            image_folder(tmp_path).load("train")

    def test_folders(self, tmp_path):
        with pytest.raises(DataError, match="is not a folder"):
            image_folder(tmp_path / "absent")
        with pytest.raises(DataError, match="has 0 class folders"):
            image_folder(tmp_path)
        picture(tmp_path / "a" / "0.png")
        with pytest.raises(DataError, match="has 1 class folders"):
            image_folder(tmp_path)
        (tmp_path / "b").mkdir()
        with pytest.raises(DataError, match="no training image of the class 'b'"):
            image_folder(tmp_path).load("train")
        with pytest.raises(ConfigError, match="size 0"):
            image_folder(tmp_path, size=0)


class TestSizes:
    @pytest.fixture
    def folder(self, tmp_path):
        photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            for i in range(5):
                Image.fromarray(np.roll(photo, i, axis=0)).save(tmp_path / name / f"{i}.png")
        return tmp_path

    def test_the_default_is_32_and_every_size_is_read_once(self, folder):
        data = image_folder(folder)
        assert data.scaled_to(32, 32) is data
        large = data.scaled_to(40, 60)
        assert data.scaled_to(40, 60) is large
        assert data.load("train").images.shape[1:] == (32, 32, 3)
        assert large.load("train").images.shape[1:] == (40, 60, 3)
        assert (large.load("test").labels == data.load("test").labels).all()
        assert large.class_names == data.class_names

    def test_another_size_shows_the_pictures_as_prediction_does(self, folder):
        found = image_folder(folder).scaled_to(20, 30).load("train+validation").images
        all_pictures = pictures(sorted(folder.glob("*/*.png")), (30, 20))
        for image in found:
            assert any((image == other).all() for other in all_pictures)

    def test_a_size_that_the_user_gave_stays(self, folder):
        data = image_folder(folder, size=16)
        assert data.scaled_to(40, 40) is data
        assert data.load("train").images.shape[1:] == (16, 16, 3)
