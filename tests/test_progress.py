"""Progress bars."""

import pytest

from enecg.progress import progress_bar


def test_a_bar_is_drawn_on_standard_error_and_is_whole_at_the_end(capfd):
    with progress_bar(True, "embedding", 4) as bar:
        bar.advance(1)
        bar.step("rocket", 2)
    said = capfd.readouterr()
    assert said.out == ""
    assert "embedding" in said.err
    assert "100%" in said.err


def test_a_hidden_bar_says_nothing(capfd):
    with progress_bar(False, "embedding", 4) as bar:
        bar.advance(1)
        bar.step("rocket", 2)
    assert capfd.readouterr() == ("", "")


def test_a_bar_that_an_error_ends_is_not_whole_and_lets_the_error_through(capfd):
    with pytest.raises(ZeroDivisionError), progress_bar(True, "embedding", 4) as bar:
        bar.advance(1 / 0)
    assert "100%" not in capfd.readouterr().err
