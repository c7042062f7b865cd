"""Checks the HTML of the code under test."""

import html.parser


class _Balance(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_well_formed(text: str) -> None:
    """Fails unless every non-void element has its own closing tag."""
    parser = _Balance()
    parser.feed(text)
    assert parser.open == []
