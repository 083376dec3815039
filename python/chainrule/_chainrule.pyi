from collections.abc import Callable
from typing import Any

__version__: str

def call(
    words: list[str],
    refused: Callable[[str, str, str, str | None, str | None], BaseException],
    note: Callable[[str], Any] | None = None,
    progress: Callable[..., Any] | None = None,
    threads: int | None = None,
) -> str:
    """Runs a command of the ``chainrule`` program and returns what it prints to standard output."""
