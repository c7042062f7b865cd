import dataclasses
import os

import pytest

from trainer.terminal.option import OptionError, option, options, require_allowed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    steps: int = option(3, "Steps.", group="A", at_least=1, at_most=9)
    rate: float | None = option(None, "Rate.", group="A", above=0, below=1)
    name: str = option("x", "Name.", group="B", choices=("x", "y"))
    folder: str | None = option(None, "Folder.", group="B", is_path=True)
    place: str | None = option(None, "Place.", group="B", is_path=True, any_storage=True)
    ends: tuple[float, float] | None = option(None, "Ends.", group="B")
    loud: bool = option(False, "Loud.", group="B")
    sizes: tuple[int, ...] | None = option(None, "Sizes.", group="B", at_least=2)
    parts: tuple[float, ...] = option((1.0,), "Parts.", group="B", above=0)
    zoom: tuple[float, float] | None = option(None, "Z.", group="B", above=0, example="1,2")
    no_option: int = 7


def test_the_type_of_the_field_says_what_a_value_is():
    found = options(Example)
    lists = ["sizes", "parts"]
    assert [name for name, one in found.items() if one.is_list] == lists
    assert [found[name].kind for name in lists] == [int, float]
    assert [found[name].optional for name in lists] == [True, False]
    assert [found[name].metavar for name in lists] == ["N,...", "X,..."]
    found = {name: one for name, one in found.items() if name not in [*lists, "zoom"]}
    assert list(found) == ["steps", "rate", "name", "folder", "place", "ends", "loud"]
    assert [one.kind for one in found.values()] == [int, float, str, str, str, tuple, bool]
    assert [one.optional for one in found.values()] == [False, True, False, True, True, True, False]
    assert [one.default for one in found.values()] == [3, None, "x", None, None, None, False]
    assert [one.metavar for one in found.values()] == [
        "N",
        "X",
        "x|y",
        "PATH",
        "PATH",
        "LOW,HIGH",
        "",
    ]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "9", 9),
        ("rate", "1e-3", 0.001),
        ("name", "y", "y"),
        ("folder", "~/d", os.path.expanduser("~/d")),
        ("ends", "-1,1", (-1.0, 1.0)),
        ("sizes", "128", (128,)),
        ("sizes", "128,180", (128, 180)),
        ("parts", "0.5,2", (0.5, 2.0)),
        ("zoom", "0.5,2", (0.5, 2.0)),
    ],
)
def test_texts_become_values(name, text, value):
    assert options(Example)[name].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("steps", "0", "a whole number of at least 1 and of at most 9"),
        ("steps", "10", "a whole number of at least 1 and of at most 9"),
        ("steps", "2.5", "a whole number of at least 1 and of at most 9"),
        ("rate", "0", "a number above 0 and below 1"),
        ("rate", "1", "a number above 0 and below 1"),
        ("rate", "nan", "a number above 0 and below 1"),
        ("rate", "inf", "a number above 0 and below 1"),
        ("name", "z", "one of x, y"),
        ("ends", "1", "two numbers, the lower first, e.g. --ends=0,1"),
        ("ends", "1,0", "two numbers, the lower first, e.g. --ends=0,1"),
        ("ends", "0,1,2", "two numbers, the lower first, e.g. --ends=0,1"),
        ("ends", "a,b", "two numbers, the lower first, e.g. --ends=0,1"),
        ("zoom", "0,1", "two numbers above 0, the lower first, e.g. --zoom=1,2"),
        ("sizes", "", "whole numbers of at least 2, separated by commas"),
        ("sizes", "4,1", "whole numbers of at least 2, separated by commas"),
        ("sizes", "4,2.5", "whole numbers of at least 2, separated by commas"),
        ("parts", "1,,2", "numbers above 0, separated by commas"),
        ("parts", "1,0", "numbers above 0, separated by commas"),
    ],
)
def test_a_wrong_text_is_explained(name, text, rule):
    with pytest.raises(OptionError) as error:
        options(Example)[name].parse(text)
    assert str(error.value) == f"--{name} must be {rule}. Received: {text}."


@pytest.mark.parametrize("address", ["gs://bucket/d", "s3://b", "hdfs://h/d", "file:///d"])
def test_object_storage_is_refused(address):
    with pytest.raises(OptionError, match=f"--folder must be a path .*Received: {address}. Copy"):
        options(Example)["folder"].parse(address)


def test_some_paths_may_be_on_a_storage():
    place = options(Example)["place"]
    assert place.parse("gs://bucket/d") == "gs://bucket/d"
    assert place.parse("runs/a") == "runs/a"
    assert place.rule == "a path, or an address on a storage" and place.metavar == "PATH"
    with pytest.raises(OptionError, match="--place must be a path without file://. Received: fil"):
        place.parse("file:///d")


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"rate": 0.5, "ends": (0, 1.0)}, True),
        ({"steps": None}, False),
        ({"steps": 2.0}, False),
        ({"steps": True}, False),
        ({"rate": "0.5"}, False),
        ({"name": "z"}, False),
        ({"ends": [0.0, 1.0]}, False),
        ({"loud": 1}, False),
    ],
)
def test_values_from_code_are_held_to_the_same_rules(changes, allowed):
    if allowed:
        require_allowed(options(Example).values(), Example(**changes))
        return
    with pytest.raises(OptionError, match=f"--{next(iter(changes))} must be "):
        require_allowed(options(Example).values(), Example(**changes))
