"""The wheel holds every file, imports stay light and one-way, and README, CI and pins agree."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import wgfode

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = {"wgfode": "wgfode", "adapters": "wgfode/adapters", "validation": "wgfode/validation"}
MODULES = "import json, sys; {}; print(json.dumps(list(sys.modules)))"
LATER = (
    "torch", "jax", "diffrax", "equinox", "lineax", "optimistix", "xarray", "pandas", "matplotlib", "rich.", "h5",
    "zarr", "scipy.stats", "scipy.special", "scipy.linalg", "scipy.sparse", "scipy.optimize", "scipy.interpolate",
)  # fmt: skip
"""What is imported where it is used, and not before."""
FRAMEWORKS = {"torch", "jax", "jaxlib", "torchdiffeq", "diffrax", "equinox", "lineax", "optimistix"}


def sources() -> dict[str, Path]:
    """Each python file on disk, by its place in the wheel."""
    return {
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}": path
        for folder, place in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
    }


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built in a copy of the tree, so that no old build/ gets in and none is left."""
    copy = tmp_path_factory.mktemp("source")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", ".", cwd=copy)
    (file,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(file)


def test_every_package_on_disk_is_listed():
    on_disk = {str(Path(place).parent).replace("/", ".") for place in sources()}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == on_disk


def test_the_wheel_holds_every_file(wheel):
    names = set(wheel.namelist())
    assert {name for name in names if name.endswith(".py")} == set(sources())
    assert "wgfode/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"wgfode"}


@pytest.mark.parametrize(
    ("code", "most"),
    [
        ("import wgfode", 180),
        ("from wgfode.cli.app import app; app(['--help'], standalone_mode=False)", 240),
    ],
    ids=["import", "help"],
)
def test_start_up_imports_what_it_uses(tmp_path, code, most):
    # counted, not timed: each module costs about a millisecond, and scipy.stats and pandas hundreds of them
    numpy = json.loads(run(sys.executable, "-c", MODULES.format("import numpy, scipy"), cwd=tmp_path).splitlines()[-1])
    found = json.loads(run(sys.executable, "-c", MODULES.format(code), cwd=tmp_path).splitlines()[-1])
    assert [name for name in found if name.startswith(LATER)] == []
    assert len(set(found) - set(numpy)) <= most


def test_a_checkout_that_hides_the_installed_package_says_so(tmp_path):
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    # as if a wheel were installed, which does not reach into the folder as an editable installation does
    code = "import sys; sys.meta_path = [f for f in sys.meta_path if '__editable__' not in str(f)]; import wgfode"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"found the checkout's wgfode/ in {tmp_path}" in done.stderr
    shutil.rmtree(tmp_path / "adapters")  # no checkout: what is missing is told where it is needed
    run(sys.executable, "-c", code, cwd=tmp_path)


def imports(path: Path, everywhere: bool = True):
    """The absolute imports of a file, by top-level name; those at its top level alone unless `everywhere`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("place", sorted(sources()))
def test_imports_go_one_way(place):
    path = sources()[place]
    assert "wgfode" not in set(imports(path)), "relative imports only: an absolute one may load the file twice"
    if not place.startswith(("wgfode/backend/", "wgfode/adapters/")):
        assert not FRAMEWORKS & set(imports(path, everywhere=False))


def requirements():
    extras = PROJECT["project"]["optional-dependencies"].values()
    for requirement in [*PROJECT["project"]["dependencies"], *(r for extra in extras for r in extra)]:
        name = re.split(r"[^\w.-]", requirement)[0]
        if name != "wgfode":
            yield name, requirement


def test_every_requirement_is_pinned_and_the_pin_is_allowed():
    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    for name, requirement in requirements():
        assert name in pins, f"{name} is not in constraints.txt"
        assert Requirement(requirement).specifier.contains(pins[name])


@pytest.mark.parametrize(
    ("file", "line"),
    [("CITATION.cff", r"^version: (.+)$"), ("packaging/conda/meta.yaml", r'set version = "(.+)"')],
)
def test_what_repeats_the_version_repeats_it(file, line):
    (version,) = re.findall(line, (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert version == wgfode.__version__


def test_the_conda_recipe_asks_for_what_the_wheel_does():
    recipe = (ROOT / "packaging/conda/meta.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"^    - (\S+ >=\S+)$", recipe, flags=re.MULTILINE))
    renamed = {"matplotlib": "matplotlib-base"}
    for requirement in PROJECT["project"]["dependencies"]:
        name, bound = requirement.split(">=")
        assert f"{renamed.get(name, name)} >={bound}" in asked


def test_ci_runs_the_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^<!-- test-command -->\n```\w*\n(.*?)^```$", readme, flags=re.DOTALL | re.MULTILINE)
    assert block.strip().endswith("-m pytest")
    if shutil.which("bash"):
        assert run("bash", ".ci/run", "--test-command", cwd=ROOT) == block
