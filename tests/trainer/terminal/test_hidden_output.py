import os

import pytest

from trainer.terminal.hidden_output import hidden_stderr


def test_what_is_written_to_the_descriptor_is_hidden(capfd):
    with hidden_stderr():
        os.write(2, b"chatter\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


@pytest.mark.parametrize("shown", [True, False])
def test_an_error_may_show_it(capfd, shown):
    with pytest.raises(ImportError, match="broken"):
        with hidden_stderr(show_on_error=shown):
            os.write(2, b"why\n")
            raise ImportError("broken")
    assert capfd.readouterr().err == ("why\n" if shown else "")
