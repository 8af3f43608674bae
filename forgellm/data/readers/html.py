"""HTML to Markdown: headings, paragraphs, lists, tables, quotations and code keep their structure.

Left out is what is not the text: scripts, navigation, forms' controls, hidden parts, images, the addresses of
links. Where a page says which part of it is the main one, only that is read. Parsing is lexbor's work.
"""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

from forgellm.data.readers.markdown import blocks, inline, join
from forgellm.data.text import decode_document

_XHTML = re.compile(r"<\?xml|xmlns=[\"']http://www.w3.org/1999/xhtml")
_CLOSED = re.compile(r"<([A-Za-z][\w:-]*)([^<>]*)/>")
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_MAIN = ("main", "[role=main]", "article")


def read_html(data: bytes) -> tuple[str, str]:
    """(Markdown, encoding) of a page. Raises Undecodable."""
    text, encoding = decode_document(data)
    return to_markdown(text), encoding


def to_markdown(html: str, *, titled: bool = True) -> str:
    """A page or a part of one. Its <title> heads it where it has no <h1> and `titled` is set."""
    tree = LexborHTMLParser(_opened(html) if _XHTML.search(html[:1024]) else html)
    written = join(blocks(part)) if (part := _main(tree)) is not None else ""
    if not written and tree.body is not None:
        written = join(blocks(tree.body))
    title = tree.css_first("head > title")
    if not titled or title is None or not written or tree.css_first("h1") is not None:
        return written
    return join([f"# {inline(title)}", written]) if inline(title) else written


def _main(tree: LexborHTMLParser) -> LexborNode | None:
    for selector in _MAIN:
        found = tree.css(selector)
        if len(found) == 1:
            return found[0]
    return tree.body


def _opened(xhtml: str) -> str:
    """XHTML as HTML, which knows no `<title/>`: it would take all that follows for the title."""
    return _CLOSED.sub(lambda m: m[0] if m[1].lower() in _VOID else f"<{m[1]}{m[2]}></{m[1]}>", xhtml)
