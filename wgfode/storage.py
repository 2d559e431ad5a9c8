"""Datasets to disk, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError, MissingDependencyError, WgfodeError

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".nc", ".zarr")
RESERVED = (
    "coordinates", "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST",
    "_NCProperties", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict",
)  # fmt: skip
"""Names of attributes with which file formats, and xarray when it reads them, do something."""


COMPRESSED = 1000
"""From so many numbers on a variable is compressed."""


class StorageError(WgfodeError, OSError):
    """The system refused to write: a full disk, a missing permission."""


def check(path: str | Path, name: str = "path") -> Path:
    """The place where `write` would put a dataset, once it is sure that it can be written to.

    `name` is what messages call it. Raises `InputError` where the suffix is not .nc or .zarr, the
    directory does not exist or takes no files, or something else than a dataset is in the way.
    """
    place = Path(os.path.realpath(path))
    if place.suffix not in SUFFIXES:
        raise InputError(f"{name} must end in {' or '.join(SUFFIXES)}, got {str(path)!r}")
    if not place.parent.is_dir():
        raise InputError(f"{name}={str(path)!r} cannot be written: no directory {str(place.parent)!r}")
    if place.suffix == ".zarr":
        if importlib.util.find_spec("zarr") is None:
            raise MissingDependencyError(f"{name}={str(path)!r} needs zarr: pip install 'wgfode[io]' brings it")
        if place.exists() and not any((place / mark).exists() for mark in (".zgroup", "zarr.json")):
            raise InputError(f"{name}={str(path)!r} is there already, and is no zarr store")
    elif place.is_dir():
        raise InputError(f"{name}={str(path)!r} is a directory")
    probe(place.parent, f"{name}={str(path)!r}")
    return place


def probe(directory: Path, name: str) -> None:
    """Raise `InputError` where `directory` takes no new files. `name` begins the message."""
    trial = directory / f".{uuid.uuid4().hex}.probe"
    try:
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise InputError(f"{name} cannot be written: {error.strerror} ({str(directory)!r})") from error


def check_attribute(key: Any, value: Any, owner: str) -> None:
    """Raise `InputError`, saying what to do, where a file cannot hold the attribute or would not give it back.

    Files hold strings, numbers of at most 64 bits, and flat lists of either. `owner` is whose attribute it is.
    """
    if not isinstance(key, str) or not key.isprintable() or key != key.strip() or not key or "/" in key:
        raise InputError(f"the names of {owner} must be printable strings without '/', got {key!r}")
    if key in RESERVED:
        raise InputError(f"attribute {key!r} of {owner} has a meaning of its own in files: choose another name")
    if isinstance(value, (list, tuple, np.ndarray)):
        flat = not isinstance(value, np.ndarray) or (value.ndim == 1 and value.dtype.kind in "iuf")
        items = list(value) if flat else []
        words = [isinstance(item, str) for item in items]
        fits = bool(items) and (all(words) or not any(words)) and all(map(_holdable, items))
    else:
        fits = _holdable(value)
    if not fits:
        raise InputError(
            f"attribute {key!r} of {owner} must be a string, a number or a flat list of either, got {value!r}: "
            f"{_instead(value)}"
        )


def _holdable(value: Any) -> bool:
    """Whether a file holds a string or number as it is."""
    if isinstance(value, str):
        return not isinstance(value, np.str_) and "\0" not in value and value == value.encode(errors="replace").decode()
    if isinstance(value, (float, np.float32, np.integer)):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _instead(value: Any) -> str:
    """What to do about an attribute that files do not hold."""
    if value is None:
        return "leave it out"
    if isinstance(value, (bool, np.bool_)):
        return f"give {int(value)} or {str(value)!r}"
    if isinstance(value, dict):
        return "give json.dumps of it, or an attribute for each entry"
    if hasattr(value, "isoformat"):
        return "give its isoformat()"
    if isinstance(value, (np.ndarray, tuple)):
        return "give a list"
    return "give its str()"


def write(dataset: xr.Dataset, path: str | Path) -> Path:
    """Write `dataset` to `path`: netCDF where it ends in .nc, a zarr store where it ends in .zarr.

    The whole appears at once, in place of what was there; after a failure the old one is untouched.
    Returns the path. Raises `InputError` for a path that `check` refuses or an attribute that files
    cannot hold, and `StorageError` where the system refuses, e.g. on a full disk.
    """
    place = check(path)
    owners = {"dataset": dataset.attrs} | {str(n): v.attrs for n, v in dataset.variables.items()}
    for owner, attributes in owners.items():
        for key, value in attributes.items():
            check_attribute(key, value, owner)
    replace = _replace_store if place.suffix == ".zarr" else _replace_file
    replace(dataset, place)
    return Path(path)


def _replace_file(dataset: xr.Dataset, place: Path) -> None:
    # made in memory first: HDF5 can crash the process when a disk fills up under it
    content = dataset.to_netcdf(engine="h5netcdf", encoding=encoding(dataset))
    replace_file(place, lambda temporary: write_through(temporary, content))


def encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """How variables go to a netCDF file: large ones compressed, without loss, and no fill value for coordinates."""
    found: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in dataset.coords}
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "iuf" and variable.size >= COMPRESSED:
            found.setdefault(str(name), {}).update(zlib=True, complevel=4, shuffle=True)
    return found


def write_through(path: Path, content: memoryview | bytes) -> None:
    """Write `content` to a new file at `path`, down to the disk."""
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(place: Path, make: Callable[[Path], None]) -> None:
    """Have `make` write a new file beside `place`, then put it there at once; `StorageError` on failure."""
    temporary = place.with_name(f".{uuid.uuid4().hex}.{place.name}")
    with _refusals(place):
        try:
            make(temporary)
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)


def _replace_store(dataset: xr.Dataset, place: Path) -> None:
    # a directory cannot replace another in one step: the old one is moved aside, and back on failure
    temporary, old = (place.with_name(f".{uuid.uuid4().hex}.{place.name}") for _ in range(2))
    with _refusals(place):
        try:
            dataset.to_zarr(temporary, zarr_format=2)  # format 3 has no stable strings yet
            if place.exists():
                os.rename(place, old)
            try:
                os.rename(temporary, place)
            except BaseException:
                if old.exists():
                    os.rename(old, place)
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _refusals(place: Path) -> Iterator[None]:
    """Turn the system's errors into a `StorageError` that says what was not written and why."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else (error.strerror or str(error))
        raise StorageError(f"{str(place)!r} was not written: {reason}") from error
