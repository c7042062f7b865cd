"""The layout: which package may import which, and how large files and functions may be."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Each layer imports only itself and those before it.
LAYERS = (
    *("terminal", "data", "cluster", "models", "settings", "runs", "prediction", "training"),
    "reporting",
    "service",
)
# Packages of `cdisc_tfds`, which the concepts at its top do not import.
DATA_PACKAGES = {"build", "sample", "catalogue", "cdiscount", "pages", "explore"}
REPORTING = {"terminal", "data", "settings", "runs", "reporting"}
SERVICE = {"terminal", "data", "runs", "prediction", "service"}
MAX_FILE, MAX_FUNCTION = 400, 60  # lines
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for package in ("trainer", "cdisc_tfds", "benchmarks", "examples")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imported(tree: ast.AST) -> set[str]:
    """Full names of the modules, or of what is in them, that a tree imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer_faults(path: str, text: str) -> list[str]:
    """Imports that the layers forbid."""
    project = {
        name
        for name in imported(ast.parse(text))
        if name.split(".")[0] in ("trainer", "cdisc_tfds")
    }
    parts = path.split("/")
    if parts[0] == "cdisc_tfds":
        forbidden = ["trainer"]
        if len(parts) == 2 and parts[1] != "__init__.py":  # a concept at the top
            forbidden += [f"cdisc_tfds.{name}" for name in DATA_PACKAGES]
        return [name for name in project if name.startswith(tuple(forbidden))]
    if parts[0] != "trainer" or len(parts) == 2:  # the commands, and what stands beside
        return []
    narrow = {"reporting": REPORTING, "service": SERVICE}
    allowed = narrow.get(parts[1], LAYERS[: LAYERS.index(parts[1]) + 1])
    return [
        name
        for name in project
        if name.startswith("trainer.") and name.split(".")[1] not in allowed
    ]


def late_imports(path: str, text: str) -> list[str]:
    """The project's own modules that functions of a library import; commands may, for `--help`."""
    parts = path.split("/")
    is_command = parts[0] in ("benchmarks", "examples") or (
        parts[0] == "trainer" and len(parts) == 2
    )
    if is_command or parts[-1] == "__main__.py":
        return []
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= imported(node)
    return [name for name in found if name.split(".")[0] in ("trainer", "cdisc_tfds")]


def large_functions(text: str) -> list[str]:
    """Functions that do not fit a screen."""
    return [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno >= MAX_FUNCTION
    ]


def missing_modules(text: str) -> list[str]:
    """Imports from modules of the project that do not exist; mypy ignores missing modules."""
    missing = []
    for name in imported(ast.parse(text)):
        path = ROOT.joinpath(*name.split("."))
        places = [place for base in (path, path.parent) for place in (base, base / "__init__")]
        if name.split(".")[0] in ("trainer", "cdisc_tfds") and not any(
            place.with_name(f"{place.name}.py").exists() for place in places
        ):
            missing.append(name)
    return missing


@pytest.mark.parametrize("path", SOURCES)
def test_a_module_keeps_to_its_layer(path):
    text = SOURCES[path]
    assert layer_faults(path, text) == []
    assert late_imports(path, text) == []
    assert missing_modules(text) == []
    assert large_functions(text) == []
    assert len(text.splitlines()) < MAX_FILE


def test_every_package_of_the_trainer_is_a_layer():
    packages = {path.split("/")[1] for path in SOURCES if path.startswith("trainer/")}
    assert {name for name in packages if not name.endswith(".py")} == set(LAYERS)


def test_missing_modules_are_found():
    text = "from trainer.reporting.nothing import page\nfrom trainer.data import dataset\n"
    text += "from trainer.data.dataset import Split\nimport trainer.data\nimport numpy.nothing"
    assert missing_modules(text) == ["trainer.reporting.nothing.page"]


@pytest.mark.parametrize(
    ("path", "text", "forbidden"),
    [
        ("trainer/data/x.py", "from trainer.models import networks", True),
        ("trainer/data/x.py", "def f():\n    import trainer.runs.state", True),
        ("trainer/runs/x.py", "from trainer.data.dataset import Split", False),
        ("trainer/reporting/x.py", "from trainer.training import train", True),
        ("trainer/reporting/x.py", "from trainer.runs.state import RunState", False),
        ("trainer/service/x.py", "from trainer.training import train", True),
        ("trainer/service/x.py", "from trainer.prediction.mixture import aligned", False),
        ("trainer/prediction/x.py", "from trainer.service.engine import Engine", True),
        ("trainer/main.py", "from trainer.training import train", False),
        ("cdisc_tfds/records.py", "from cdisc_tfds.build import folder", True),
        ("cdisc_tfds/records.py", "from cdisc_tfds.pages.page import page", True),
        ("cdisc_tfds/build/x.py", "import trainer", True),
        ("cdisc_tfds/build/x.py", "from cdisc_tfds import records", False),
    ],
)
def test_the_checks_find_what_they_look_for(path, text, forbidden):
    assert bool(layer_faults(path, text)) == forbidden


def test_late_imports_and_large_functions_are_found():
    late = "def f():\n    from trainer.data import dataset"
    assert late_imports("trainer/runs/x.py", late) == ["trainer.data.dataset"]
    assert late_imports("trainer/main.py", late) == []
    assert late_imports("trainer/runs/x.py", "def f():\n    import tensorflow") == []
    body = "\n".join("    x = 1" for _ in range(MAX_FUNCTION))
    assert large_functions(f"def f():\n{body}") == [f"f: {MAX_FUNCTION + 1} lines"]
    assert large_functions("def f():\n    x = 1") == []
