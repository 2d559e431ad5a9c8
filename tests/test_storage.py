"""Datasets keep everything on their way through files, and files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import wgfode as wgf
from wgfode import storage
from wgfode.adapters.torchdiffeq import right_hand_side
from wgfode.storage import StorageError, check, write


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    """The full schema, with 8 held-out points and two times."""
    f = right_hand_side(wgf.problems.get("ornstein-uhlenbeck-2d").flow)
    theta = f.initial()
    known = {"problem": "ornstein-uhlenbeck-2d", "title": "Σ ∘ ½", "accepted_steps": 3, "rtol": 1e-6}
    return f.dataset([0.0, 0.1], [theta, 1.1 * theta], evaluation=8, status="completed", **known)


def same(left: xr.Dataset, right: xr.Dataset) -> None:
    """Values, coordinates and attributes are equal, and numbers kept their kind."""
    xr.testing.assert_identical(left, right)
    assert list(left.attrs) == list(right.attrs)
    for name, value in left.attrs.items():
        assert isinstance(right.attrs[name], str) == isinstance(value, str)
        assert np.asarray(right.attrs[name]).dtype.kind == np.asarray(value).dtype.kind


@pytest.mark.parametrize("name", ["run.nc", "run.zarr"])
def test_write_keeps_everything(dataset: xr.Dataset, tmp_path: Path, name: str) -> None:
    assert write(dataset, tmp_path / name) == tmp_path / name
    back = xr.open_dataset(tmp_path / name).load()
    same(dataset, back)
    for variable in dataset.variables:
        assert back[variable].dtype == dataset[variable].dtype
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_either_netcdf_engine(dataset: xr.Dataset, tmp_path: Path, engine: str) -> None:
    dataset.to_netcdf(tmp_path / "run.nc", engine=engine)  # type: ignore[call-overload]
    same(dataset, xr.open_dataset(tmp_path / "run.nc", engine=engine).load())


def test_runs_in_one_dataset_keep_what_tells_them_apart(dataset: xr.Dataset, tmp_path: Path) -> None:
    f = right_hand_side(wgf.problems.get("ornstein-uhlenbeck-2d").with_seed(3).flow)
    other = f.dataset([0.0, 0.1], [f.initial()] * 2, evaluation=8, seed=1, problem="another", method="Tsit5")
    files = [write(run, tmp_path / f"{k}.nc") for k, run in enumerate([dataset, other])]
    runs = xr.concat([xr.open_dataset(file).drop_vars("method", errors="ignore") for file in files], "run")
    assert runs.problem.values.tolist() == ["ornstein-uhlenbeck-2d", "another"]
    assert runs.seed.values.tolist() == [0, 1]
    assert runs.points_seed.values.tolist() == [0, 3]
    assert other.method == "Tsit5"


def test_large_variables_are_compressed_and_coordinates_have_no_fill_value(dataset: xr.Dataset, tmp_path: Path) -> None:
    large = dataset.assign(grid=("cell", np.zeros(100_000)))
    write(large, tmp_path / "run.nc")
    assert os.path.getsize(tmp_path / "run.nc") < 200_000
    back = xr.open_dataset(tmp_path / "run.nc")
    xr.testing.assert_identical(back.load(), large)
    assert back["grid"].encoding["zlib"]
    assert not any("_FillValue" in back[name].encoding for name in back.coords)
    assert "history" in back.attrs


@pytest.mark.parametrize("name", ["run.nc", "run.zarr"])
def test_write_replaces_the_old_one(dataset: xr.Dataset, tmp_path: Path, name: str) -> None:
    write(dataset.isel(time=[0]), tmp_path / name)
    write(dataset, tmp_path / name)
    assert xr.open_dataset(tmp_path / name).sizes["time"] == 2
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["run.nc", "run.zarr"])
def test_a_failure_leaves_the_old_one(
    dataset: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write(dataset, tmp_path / name)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    monkeypatch.setattr(xr.Dataset, "to_zarr", full)
    with pytest.raises(StorageError, match=f"{name}.*disk is full"):
        write(dataset.isel(time=[0]), tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    same(dataset, xr.open_dataset(tmp_path / name).load())


def test_a_store_that_cannot_be_moved_leaves_the_old_one(
    dataset: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(dataset, tmp_path / "run.zarr")
    rename = os.rename

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == "run.zarr" and (Path(source) / "refused").exists():
            raise OSError(errno.EACCES, "Permission denied")
        rename(source, target)

    def make(self: xr.Dataset, path: Path, **_: object) -> None:
        path.mkdir()
        (path / "refused").touch()

    monkeypatch.setattr(storage.os, "rename", refuse)
    monkeypatch.setattr(xr.Dataset, "to_zarr", make)
    with pytest.raises(StorageError, match="Permission denied"):
        write(dataset, tmp_path / "run.zarr")
    assert os.listdir(tmp_path) == ["run.zarr"]
    same(dataset, xr.open_dataset(tmp_path / "run.zarr").load())


@pytest.mark.parametrize("value", [True, None, {"a": 1}])
def test_attributes_that_files_cannot_hold(dataset: xr.Dataset, tmp_path: Path, value: object) -> None:
    with pytest.raises(wgf.InputError, match="attribute 'flag' of dataset"):
        write(dataset.assign_attrs(flag=value), tmp_path / "run.nc")
    assert os.listdir(tmp_path) == []


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "things.zarr").mkdir()
    (tmp_path / "things.nc").mkdir()
    for path, why in [
        ("run.txt", "must end in"),
        ("run", "must end in"),
        ("missing/run.nc", "no directory"),
        ("things.nc", "is a directory"),
        ("things.zarr", "is no zarr store"),
    ]:
        with pytest.raises(wgf.InputError, match=f"--out.*{why}"):
            check(tmp_path / path, "--out")
    with pytest.raises(wgf.InputError, match=r"--out=.* cannot be written"):
        check("/proc/run.nc", "--out")


def test_a_link_is_followed_and_permissions_are_the_users(dataset: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.nc").symlink_to(tmp_path / "there" / "run.nc")
    write(dataset, tmp_path / "link.nc")
    assert (tmp_path / "link.nc").is_symlink()
    (tmp_path / "plain").touch()
    assert (tmp_path / "there" / "run.nc").stat().st_mode == (tmp_path / "plain").stat().st_mode
