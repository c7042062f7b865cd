import dataclasses

import pytest

from trainer.terminal.command_line import EveryCommand, help_text, parse
from trainer.terminal.option import OptionError, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    run_dir: str = option(None, "Folder of the run.", group="Run", is_path=True, required=True)
    epochs: int = option(10, "Passes over the data.", group="Training", at_least=1)
    rate: float | None = option(None, "Rate. Default: the network's own.", group="Training")
    cache: bool = option(True, "Keep features.", group="Machine")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    model: str = option("cnn", "The network.", group="Training", choices=("cnn", "big"))
    given: frozenset[str] = frozenset()


def _parse(*words, types=(Run, Asked), arguments=None):
    return parse(["command", *words], types, "Trains.", arguments)


def test_flags_become_the_fields_of_their_types():
    words, (run, asked) = _parse("--run_dir=r", "--epochs", "3", "--nocache", "--model=cnn")
    assert words == []
    assert run == Run(run_dir="r", epochs=3, rate=None, cache=False)
    assert asked == Asked(given=frozenset({"model"}))


def test_words_that_are_no_flags():
    with pytest.raises(OptionError, match=r"^This command takes flags only. Received: a -- b\.$"):
        _parse("--run_dir=r", "a", "--", "--", "b")
    words, _ = _parse("a", "--run_dir=r", "b", arguments="files")
    assert words == ["a", "b"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--epoch=3"], "There is no flag --epoch. Did you mean --epochs?"),
        (["--rundir=3"], "There is no flag --rundir. Did you mean --run_dir?"),
        (["--zzz"], "There is no flag --zzz. --help lists them all."),
        (["--epochs=0"], "--epochs must be a whole number of at least 1. Received: 0."),
        (["--model=x"], "--model must be one of cnn, big. Received: x."),
        (["--run_dir=file:///b"], "--run_dir must be a path of this machine, without a scheme. "),
        ([], "--run_dir is missing. Folder of the run."),
    ],
)
def test_wrong_lines_are_one_sentence(words, text):
    with pytest.raises(OptionError) as error:
        _parse(*words)
    assert str(error.value).startswith(text)


@pytest.mark.parametrize("words", [["--help"], ["--epochs=0", "-h"], ["--zzz", "--helpfull"]])
def test_help_ends_the_command(words, capsys):
    with pytest.raises(SystemExit) as end:
        _parse(*words)
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("Trains.\n\nRun:\n  --run_dir=PATH\n")


def test_help_shows_groups_defaults_and_choices():
    assert help_text("Trains.", (Run, Asked), "files") == (
        "Trains.\n\n"
        "Arguments: files\n\n"
        "Run:\n"
        "  --run_dir=PATH\n"
        "      Folder of the run. Required.\n\n"
        "Training:\n"
        "  --epochs=N\n"
        "      Passes over the data. (default: 10)\n"
        "  --rate=X\n"
        "      Rate. Default: the network's own.\n"
        "  --model=cnn|big\n"
        "      The network. (default: cnn)\n\n"
        "Machine:\n"
        "  --[no]cache\n"
        "      Keep features. (default: true)"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Many:
    model: str = option("m0", "The network.", group="Run", choices=[f"m{n}" for n in range(9)])


def test_help_lists_many_choices_in_the_text():
    assert help_text("Trains.", (Many,)) == (
        "Trains.\n\n"
        "Run:\n"
        "  --model=NAME\n"
        "      The network. One of m0, m1, m2, m3, m4, m5, m6, m7, m8. (default: m0)"
    )


def test_two_options_of_one_name_are_a_mistake_in_the_code():
    with pytest.raises(ValueError, match="two options of this command are named traceback"):
        _parse(types=(EveryCommand, EveryCommand))
