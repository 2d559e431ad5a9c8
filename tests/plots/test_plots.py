"""Pictures: every problem's are made, none is blank, nothing overlaps, and what is missing is named."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from PIL import Image

import wgfode as wgf
from wgfode import plots
from wgfode.dataset import SCHEMA
from wgfode.plots.curves import curve
from wgfode.plots.frames import frames
from wgfode.plots.style import BASE, COLOURS, EXACT, RUN, exact_of

COMMON = {"energy", "errors", "linear_solve", "residual"}
OWN = {
    "ornstein-uhlenbeck-2d": {"samples"},
    "double-well-1d": {"density"},
    "porous-medium-2d": {"samples", "profile"},
    "aggregation-ring": {"samples", "radial"},
    "fokker-planck-10d": {"projections"},
    "fokker-planck-30d": {"plane", "variances"},
    "kinetic-oscillator": {"samples"},
    "ou-time-dependent-2d": {"samples"},
    "kinetic-double-well": {"samples"},
    "kuramoto": {"density"},
    "moving-trap-100d": {"projections"},
    "manufactured-10d": {"projections"},
}


def made_up(name: str, times: int = 3, n: int = 256) -> xr.Dataset:
    """The problem's first `times` output times, by the exact flow with a small error instead of a run."""
    problem = wgf.problems.get(name)
    exact = exact_of(xr.Dataset(attrs={"problem": name}))
    ts = problem.times[:times]
    z, weights = problem.flow.held_out(n)
    x = np.stack([(z if exact is None else exact.flow_map(t, z)) * (1 + 1e-3 * t) for t in ts])
    mean = np.einsum("n,tni->ti", weights, x)
    centred = x - mean[:, None]
    terms = [term.name for _, term in problem.flow.energy.with_energy]
    values = {
        "z": z,
        "weight": weights,
        "x": x,
        "mean": mean,
        "covariance": np.einsum("n,tni,tnj->tij", weights, centred, centred),
        "log_density": np.stack(
            [problem.flow.reference.log_density(z)] * times
            if exact is None
            else [exact.log_density(t, exact.flow_map(t, z)) + 1e-3 * t for t in ts]
        ),
        "residual": np.geomspace(1e-3, 1e-4, times),
        "residual_in_sample": np.geomspace(1e-4, 1e-5, times),
        "dissipation": np.geomspace(1, 0.1, times),
        "linear_residual": np.full(times, 1e-9),
        "linear_steps": 7 * np.arange(times),
    }
    if terms:
        energy = np.cos(ts)  # what is exact of an energy is not drawn
        values |= {"energy": energy, "energy_term": energy[:, None] * np.arange(1, len(terms) + 1)}
    variables = {
        key: (SCHEMA[key][0], value, {"long_name": SCHEMA[key][1], "units": SCHEMA[key][2]})
        for key, value in values.items()
    }
    time = ("time", np.array(ts), {"long_name": "flow time", "units": "1"})
    return xr.Dataset(variables, {"time": time, "term": terms}, {"problem": name})


@pytest.mark.parametrize("name", wgf.problems.names())
def test_every_problem_has_its_pictures(tmp_path: Path, name: str) -> None:
    files = plots.draw(made_up(name), tmp_path / "new" / "plots")
    problem = wgf.problems.get(name)
    without = set() if problem.flow.energy.with_energy else {"energy"}
    without |= set() if problem.exact_solution else {"errors"}
    assert {file.stem for file in files} == (COMMON | OWN[name]) - without
    assert sorted(files) == sorted((tmp_path / "new" / "plots").iterdir())
    for file in files:
        pixels = imread(file)[..., :3]
        assert pixels.std() > 0.03, file  # a blank page has 0
        assert min(pixels.shape[:2]) > 400


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that lie on each other: title, panel titles, axis labels, tick labels, legends."""
    FigureCanvasAgg(figure).draw()
    texts = [figure._suptitle] if figure._suptitle else []  # type: ignore[attr-defined]
    for legend in figure.legends:
        texts += legend.get_texts()
    for axis in figure.axes:
        for side in (axis.xaxis, axis.yaxis):
            low, high = sorted(side.get_view_interval())  # ticks outside are not drawn
            texts += [tick.label1 for tick in side.get_major_ticks() if low <= tick.get_loc() <= high]
            texts.append(side.label)
        texts.append(axis.title)
    page = figure.bbox.padded(1)
    boxes = [
        (text.get_text(), text.get_window_extent().padded(-1))
        for text in texts
        if text.get_text() and text.get_visible()
    ]
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 for _, box in boxes)
    return [(a, b) for (a, box), (b, other) in itertools.combinations(boxes, 2) if box.overlaps(other)]


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_nothing_overlaps_whatever_the_number_of_panels(times: int) -> None:
    assert overlaps(plots.samples(made_up("ornstein-uhlenbeck-2d", times))) == []


@pytest.mark.parametrize("times", [1, 5])
def test_nothing_overlaps_over_time(times: int) -> None:
    dataset = made_up("fokker-planck-10d", times)
    for picture in (plots.energy, plots.errors, plots.residual, plots.linear_solve, plots.projections):
        assert overlaps(picture(dataset)) == [], picture.__name__


def test_a_problem_without_a_name_is_drawn_without_what_is_exact() -> None:
    dataset = made_up("ornstein-uhlenbeck-2d").assign_attrs(problem="my own")
    assert set(plots.pictures(dataset)) == (COMMON - {"errors"}) | {"samples"}
    (first, *_) = plots.samples(dataset).axes
    assert [handle.get_label() for handle in first.get_children() if handle.get_label() == "run"] == ["run"]
    assert first.lines == [] or len(first.lines) == 0
    with pytest.raises(wgf.InputError, match="exact solution"):
        plots.errors(dataset)


def test_a_notebook_shows_a_picture() -> None:
    assert plots.energy(made_up("double-well-1d"))._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


@pytest.mark.parametrize("picture", ["errors", "residual", "energy"])
def test_axes_carry_labels_inside_their_range_and_no_unit_of_1(picture: str) -> None:
    figure = getattr(plots, picture)(made_up("ornstein-uhlenbeck-2d", 4))
    FigureCanvasAgg(figure).draw()
    for axis in figure.axes:
        assert "[1]" not in axis.get_xlabel() + axis.get_ylabel()
        low, high = axis.get_ylim()
        assert sum(low <= tick.get_loc() <= high and bool(tick.label1.get_text()) for tick in axis.yaxis.majorTicks) > 1
        assert not any(line.get_clip_on() for line in axis.lines if line.get_marker() not in ("None", "o"))


def test_a_curve_passes_its_values_and_has_no_extremum_of_its_own() -> None:
    axis = Figure().subplots()
    values = np.array([1.0, 0.1, 0.1, 0.02, np.nan, 3.0, 2.0])
    curve(axis, np.array([0, 0.1, 1, 2, 3, 4, 5.0]), values, logarithmic=True, marker="o")
    first, second, points = axis.lines  # a gap parts the curve
    x, y = first.get_data()
    assert (np.diff(y) <= 1e-15).all()
    np.testing.assert_allclose([y[np.isclose(x, t)][0] for t in (0, 0.1, 1, 2)], values[:4])
    assert second.get_xdata().min() == 4
    assert points.get_linestyle() == "None"


def test_a_direct_solver_has_no_picture_of_iterations() -> None:
    dataset = made_up("double-well-1d")
    assert "linear_solve" in plots.pictures(dataset)
    assert "linear_solve" not in plots.pictures(dataset.assign(linear_steps=0 * dataset["linear_steps"]))


def luminance(colour: str) -> float:
    """Relative luminance, as the WCAG defines it."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colour", [*COLOURS, RUN, EXACT, BASE])
def test_colours_stand_out_from_white_and_from_dark_pages(colour: str) -> None:
    for page in ("white", "#0d1117"):
        light, dark = sorted((luminance(colour), luminance(page)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, page


@pytest.mark.parametrize("name", ["double-well-1d", "aggregation-ring", "fokker-planck-10d"])
def test_a_film_has_a_frame_for_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("wgfode.plots.frames.FRAMES", 4)
    file = plots.film(made_up(name, 3), tmp_path / "run.gif")
    with Image.open(file) as shown:
        assert shown.n_frames == len(frames(np.array(wgf.problems.get(name).times[:3])))
        first = np.asarray(shown.convert("RGB"), dtype=float)
        shown.seek(shown.n_frames - 1)
        assert np.abs(np.asarray(shown.convert("RGB"), dtype=float) - first).mean() > 0.1


def test_a_film_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made_up("double-well-1d")
    with pytest.raises(wgf.InputError, match=r"must end in .gif or .mp4"):
        plots.film(dataset, tmp_path / "run.avi")
    with pytest.raises(wgf.InputError, match="needs the variable 'log_density'"):
        plots.film(dataset.drop_vars("log_density"), tmp_path / "run.gif")
    monkeypatch.setattr("matplotlib.animation.FFMpegWriter.isAvailable", lambda: False)
    with pytest.raises(wgf.MissingDependencyError, match="needs the program ffmpeg"):
        plots.film(dataset, tmp_path / "run.mp4")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    ring, well = made_up("aggregation-ring", 2), made_up("double-well-1d", 2)
    with pytest.raises(wgf.InputError, match="'density' needs the variable 'log_density'"):
        plots.density(well.drop_vars("log_density"))
    with pytest.raises(wgf.InputError, match="needs the variable 'energy_term'"):
        plots.draw(ring.drop_vars("energy_term"), tmp_path)
    with pytest.raises(wgf.InputError, match="needs 2 components, got 1"):
        plots.samples(well)
    with pytest.raises(wgf.InputError, match="needs 1 component, got 2"):
        plots.density(ring)
    with pytest.raises(wgf.InputError, match="needs component 4"):
        plots.projections(ring)
    with pytest.raises(wgf.InputError, match="front"):
        plots.profile(ring)
    with pytest.raises(wgf.InputError, match="radial law"):
        plots.radial(well)
    (tmp_path / "file").touch()
    with pytest.raises(wgf.InputError, match="directory="):
        plots.draw(ring, tmp_path / "file")
