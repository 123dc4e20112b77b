"""The command."""

import click

from word_count import count


@click.command()
@click.argument("file", type=click.File("r"))
@click.option("--top", default=10, show_default=True, help="how many words")
def main(file, top: int) -> None:
    """Print the most frequent words of FILE."""
    for word, times in count(file.read()).most_common(top):
        click.echo(f"{times:6} {word}")
