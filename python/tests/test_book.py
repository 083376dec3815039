"""The blocks of the book and of the README print what they say."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["python/README.md", "docs/src/python.md"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_prints_what_it_says(page):
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```pycon\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    assert blocks
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page, page, 0)
    failed, tried = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert tried and not failed
