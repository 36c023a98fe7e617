"""Volumes and stacks: exact pixels, pixel size, flags, and the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
from PIL import Image

from gembench.errors import InputError
from gembench.io.images.mrc import read_stack, read_volume, stack_contrast, write_mrc, write_stack

VOLUME = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4) - 7.5


def test_volume_round_trip(tmp_path: Path) -> None:
    write_mrc(tmp_path / "v.mrc", VOLUME, 2.2)
    data, size = read_volume(tmp_path / "v.mrc")
    np.testing.assert_array_equal(data, VOLUME)
    assert data.dtype == np.float32
    assert size == 2.2
    assert mrcfile.open(tmp_path / "v.mrc").is_volume()


def test_image_round_trip(tmp_path: Path) -> None:
    write_mrc(tmp_path / "i.mrc", VOLUME[0], 1.37)
    data, size = read_stack(tmp_path / "i.mrc")
    np.testing.assert_array_equal(data, VOLUME[:1])
    assert size == 1.37


@pytest.mark.parametrize("sections", [1, 2])
@pytest.mark.parametrize("pixel_size", [2.2, None])
def test_stack_round_trip(tmp_path: Path, sections: int, pixel_size: float | None) -> None:
    write_stack(tmp_path / "s.mrcs", VOLUME[:sections], pixel_size)
    data, size = read_stack(tmp_path / "s.mrcs")
    np.testing.assert_array_equal(data, VOLUME[:sections])
    assert size == pixel_size
    with mrcfile.open(tmp_path / "s.mrcs") as mrc:
        assert mrc.header.mode == 2
        assert mrc.header.ispg == 0
        assert mrc.header.mz == 1
    assert mrcfile.validate(tmp_path / "s.mrcs")


def test_bytes_do_not_depend_on_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stack(tmp_path / "a.mrcs", VOLUME, 2.2)

    class Later:
        @staticmethod
        def now() -> Later:
            return Later()

        @staticmethod
        def strftime(form: str) -> str:
            return "2099-01-01 00:00:00"

    monkeypatch.setattr("mrcfile.mrcobject.datetime", Later)
    write_stack(tmp_path / "b.mrcs", VOLUME, 2.2)
    assert (tmp_path / "a.mrcs").read_bytes() == (tmp_path / "b.mrcs").read_bytes()


def test_float64_and_integers_become_float32(tmp_path: Path) -> None:
    write_mrc(tmp_path / "a.mrc", np.arange(6).reshape(2, 3), 1.5)
    with mrcfile.open(tmp_path / "a.mrc") as mrc:
        assert mrc.data.dtype == np.float32


def test_folder_of_images_is_a_stack_in_name_order(tmp_path: Path) -> None:
    write_mrc(tmp_path / "b.mrc", VOLUME[0], 2.2)
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / "a.png")
    data, size = read_stack(tmp_path, pixel_size=2.2)
    np.testing.assert_array_equal(data[0], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(data[1], VOLUME[0])
    assert size == 2.2


def test_constant_image_may_be_in_a_stack(tmp_path: Path) -> None:
    Image.new("L", (4, 3), 1).save(tmp_path / "mask.png")
    data, size = read_stack(tmp_path / "mask.png")
    np.testing.assert_array_equal(data, np.ones((1, 3, 4)))
    assert size is None


def test_folder_of_two_shapes(tmp_path: Path) -> None:
    write_mrc(tmp_path / "a.mrc", VOLUME[0], 2.2)
    write_mrc(tmp_path / "b.mrc", VOLUME[0].T, 2.2)
    with pytest.raises(InputError, match=r"b\.mrc: is 4 x 3 pixels but a\.mrc is 3 x 4"):
        read_stack(tmp_path)


def test_folder_of_two_pixel_sizes(tmp_path: Path) -> None:
    write_mrc(tmp_path / "a.mrc", VOLUME[0], 2.2)
    write_mrc(tmp_path / "b.mrc", VOLUME[0], 4.4)
    with pytest.raises(InputError, match=r"b\.mrc: pixel size is 4\.4 but that of a\.mrc is 2\.2"):
        read_stack(tmp_path)


def test_volume_is_not_taken_for_a_stack(tmp_path: Path) -> None:
    write_mrc(tmp_path / "v.mrc", VOLUME, 2.2)
    with pytest.raises(InputError, match="flagged as a volume"):
        read_stack(tmp_path / "v.mrc")
    (tmp_path / "v.mrc").rename(tmp_path / "v.mrcs")
    np.testing.assert_array_equal(read_stack(tmp_path / "v.mrcs")[0], VOLUME)


@pytest.mark.parametrize(("name", "data", "message"), [
    ("a.mrc", VOLUME[0], "holds a single section"),
    ("a.mrcs", VOLUME, "a volume is needed"),
])
def test_not_a_volume(tmp_path: Path, name: str, data: np.ndarray, message: str) -> None:
    write_mrc(tmp_path / name, data, 2.2)
    with pytest.raises(InputError, match=message):
        read_volume(tmp_path / name)


def test_volume_needs_a_voxel_size(tmp_path: Path) -> None:
    write_mrc(tmp_path / "v.mrc", VOLUME, None)
    with pytest.raises(InputError, match="holds no pixel size"):
        read_volume(tmp_path / "v.mrc")
    assert read_volume(tmp_path / "v.mrc", pixel_size=3.5)[1] == 3.5


def test_write_refuses(tmp_path: Path) -> None:
    for name in ("a.png", "a.mrc.gz"):
        with pytest.raises(InputError, match=r"name it \.mrc"):
            write_mrc(tmp_path / name, VOLUME, 1.5)
    with pytest.raises(InputError, match="1 of 24 pixels are NaN"):
        write_mrc(tmp_path / "a.mrc", np.where(VOLUME == -7.5, np.nan, VOLUME), 1.5)
    with pytest.raises(ValueError, match="3 axes"):
        write_stack(tmp_path / "a.mrcs", VOLUME[0], 1.5)
    with pytest.raises(InputError, match="folder does not exist"):
        write_mrc(tmp_path / "missing" / "a.mrc", VOLUME, 1.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("contrast", ["dark", "bright", None])
def test_a_stack_says_how_particles_look(tmp_path: Path, contrast: str | None) -> None:
    write_stack(tmp_path / "s.mrcs", VOLUME, 2.2, contrast)
    assert stack_contrast(tmp_path / "s.mrcs") == contrast
    np.testing.assert_array_equal(read_stack(tmp_path / "s.mrcs")[0], VOLUME)


def test_folders_and_pictures_say_no_contrast(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    assert stack_contrast(tmp_path) is None
    assert stack_contrast(tmp_path / "a.png") is None
