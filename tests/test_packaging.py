"""What setup.cfg promises, held against what the code and the folder need."""

import ast
import configparser
import importlib.metadata
import pathlib
import re
import sys

import pytest
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("cdisc_tfds", "trainer")

# Imported where they are installed, and only then: module -> the extra that installs it.
OPTIONAL = {
    "nvidia": "dali",
    "aiohttp": "serve",
    "prometheus_client": "serve",
    "onnxruntime": "formats",
    "ai_edge_litert": "formats",
}


@pytest.fixture(scope="module")
def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def requirements(text):
    lines = [line.strip() for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_modules(folder):
    """Top-level names of the modules that a package's files import, at any place in them."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.split(".")[0])
    return names


def test_every_imported_package_is_a_declared_dependency(setup_cfg):
    declared = {canonical(r.name) for r in requirements(setup_cfg["options"]["install_requires"])}
    distributions = importlib.metadata.packages_distributions()
    imported = set().union(*(imported_modules(ROOT / package) for package in PACKAGES))
    third_party = imported - set(sys.stdlib_module_names) - set(PACKAGES) - set(OPTIONAL)
    undeclared = {
        name
        for name in third_party
        if not declared & {canonical(d) for d in distributions.get(name, [name])}
    }
    assert undeclared == set()


@pytest.mark.parametrize(("module", "extra"), OPTIONAL.items())
def test_an_optional_module_has_an_extra(setup_cfg, module, extra):
    names = [r.name for r in requirements(setup_cfg["options.extras_require"][extra])]
    assert any(name.replace("-", "_").startswith(module) for name in names)


def test_data_set_package_never_imports_the_trainer():
    assert "trainer" not in imported_modules(ROOT / "cdisc_tfds")


@pytest.mark.parametrize("extra", [None, "test"])
def test_installed_versions_are_within_the_declared_bounds(setup_cfg, extra):
    text = (
        setup_cfg["options.extras_require"][extra]
        if extra
        else setup_cfg["options"]["install_requires"]
    )
    for requirement in requirements(text):
        installed = importlib.metadata.version(requirement.name)
        assert requirement.specifier.contains(installed), f"{requirement} but {installed}"


def test_package_data_exist(setup_cfg):
    for package, patterns in setup_cfg["options.package_data"].items():
        folder = ROOT / package.replace(".", "/")
        for pattern in patterns.split():
            assert list(folder.glob(pattern)), f"{folder / pattern} matches no file"


def test_every_make_target_is_in_its_help():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    described = set(re.findall(r'@echo "make ([a-z-]+)', makefile))
    assert targets == set(phony)
    assert targets - {"help"} == described


def test_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
