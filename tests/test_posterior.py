"""A run's points as draws for ArviZ."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import xarray as xr

import wgfode as wgf


def run() -> xr.Dataset:
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "x": (("time", "point", "component"), rng.standard_normal((2, 10, 2))),
            "log_density": (("time", "point"), rng.standard_normal((2, 10))),
            "weight": ("point", np.full(10, 0.1)),
        },
        {"time": [0.0, 1.0]},
    )


@pytest.mark.parametrize("version", ["0.23.4", "1.0.0"])
def test_groups(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    fake = types.SimpleNamespace(__version__=version, from_dict=lambda groups=None, **named: groups or named)
    monkeypatch.setitem(sys.modules, "arviz", fake)  # the real one takes seconds to import
    dataset = run()
    found = wgf.to_arviz(dataset, names=["a", "b"], chains=3)
    assert found["posterior"].keys() == {"a", "b"}
    np.testing.assert_array_equal(found["posterior"]["b"].ravel(), dataset.x.values[1, :9, 1])
    assert found["sample_stats"]["lp"].shape == (3, 3)
    first = wgf.to_arviz(dataset.drop_vars("log_density"), time=0.0)
    assert first.keys() == {"posterior"}
    np.testing.assert_array_equal(first["posterior"]["x"].reshape(-1, 2), dataset.x.values[0, :8])


def test_what_does_not_fit() -> None:
    dataset = run()
    for options, words in (
        ({"names": ["a"]}, "2 different names"),
        ({"names": "ab"}, "2 different names"),
        ({"chains": 11}, "at most the number of evaluation points"),
        ({"time": 0.5}, "one of the dataset's"),
    ):
        with pytest.raises(wgf.InputError, match=words):
            wgf.to_arviz(dataset, **options)
    with pytest.raises(wgf.InputError, match="no x"):
        wgf.to_arviz(dataset.drop_vars("x"))
    uneven = dataset.assign(weight=dataset.weight * np.linspace(0, 1, 10))
    with pytest.raises(wgf.InputError, match="equal weights"):
        wgf.to_arviz(uneven)


@pytest.mark.slow
def test_arviz_reads_them(tmp_path) -> None:
    arviz = pytest.importorskip("arviz")
    data = wgf.to_arviz(run(), names=["a", "b"], chains=2)
    assert list(arviz.summary(data).index) == ["a", "b"]
    data.to_netcdf(str(tmp_path / "posterior.nc"))
