from click.testing import CliRunner

from word_count import count
from word_count.cli import main


def test_words_are_counted_without_their_case():
    assert count("The cat and the hat: don't stop, DON'T") == {"the": 2, "cat": 1, "and": 1, "hat": 1, "don't": 2, "stop": 1}


def test_nothing_has_no_words():
    assert count("1 2 3 ...") == {}


def test_the_command_prints_the_most_frequent(tmp_path):
    text = tmp_path / "text"
    text.write_text("a b b")
    result = CliRunner().invoke(main, [str(text), "--top", "1"])
    assert result.output.split() == ["2", "b"]
