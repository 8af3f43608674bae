"""A parsed HTML tree written as Markdown. Nothing is escaped: it is read by a model, not by a parser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from selectolax.lexbor import LexborNode

from forgellm.data.readers.tables import write_table

DEEPEST = 100
"""Elements inside each other; below that only the text is taken. Real pages stay under 60."""

_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_LEFT_OUT = frozenset(
    "script style noscript template head nav svg canvas iframe object embed audio video img picture map "
    "button input select textarea datalist meter progress annotation rt rp -comment !doctype".split()
)
_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu ol p pre section summary "
    "table tbody td tfoot th thead tr ul".split()
)
_MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*"}
_CODE = frozenset("code kbd samp tt".split())
_ANCHORS = frozenset("¶ # § 🔗 ↑ ↩ ↩︎ \uf0c1 \u200b".split())
"""What stands for a link and nothing else: behind a heading to itself, behind a footnote back to the text."""

_LANGUAGE = re.compile(r"(?:^|\s)(?:language-|lang-|highlight-|brush:\s*)([\w+#.-]+)")
_NOT_A_LANGUAGE = frozenset(["default", "none", "text", "plaintext", "notranslate"])
_BREAK = "\v"


def join(parts: Iterable[str]) -> str:
    """Blocks with a blank line between them; empty ones are dropped."""
    return "\n\n".join(part for part in parts if part.strip())


def blocks(node: LexborNode, depth: int = 0) -> list[str]:
    """The blocks inside an element, each without outer white space."""
    if depth > DEEPEST:
        return [_collapse(node.text())]
    written: list[str] = []
    run: list[str] = []
    for child in _children(node):
        if _is_block(child):
            written += [_collapse("".join(run)), *_block(child, depth + 1)]
            run = []
        else:
            run.append(_inline(child, depth + 1))
    return [part for part in (*written, _collapse("".join(run))) if part]


def inline(node: LexborNode) -> str:
    """All of an element's text in one paragraph."""
    return _collapse("".join(_inline(child, 0) for child in _children(node)))


def _children(node: LexborNode) -> Iterator[LexborNode]:
    child = node.child
    while child is not None:
        if child.tag not in _LEFT_OUT and not _hidden(child):
            yield child
        child = child.next


def _hidden(node: LexborNode) -> bool:
    if node.tag == "-text":
        return False
    given = node.attributes
    return "hidden" in given or given.get("aria-hidden") == "true" or given.get("role") in _ROLES_LEFT_OUT


_ROLES_LEFT_OUT = frozenset(["navigation", "search", "doc-pagebreak"])


def _is_block(node: LexborNode) -> bool:
    if node.tag in _BLOCKS:
        return True
    # A link or a span around blocks is one.
    return node.tag in ("a", "span", "font", "ins", "del") and any(c.tag in _BLOCKS for c in _children(node))


def _block(node: LexborNode, depth: int) -> list[str]:
    tag = node.tag
    if tag in _HEADINGS:
        text = inline(node).replace("\n", " ")
        return [f"{'#' * _HEADINGS[tag]} {text}"] if text else []
    if tag == "pre":
        return [_fenced(node)]
    if tag == "hr":
        return ["---"]
    if tag == "blockquote":
        return [_prefixed(join(blocks(node, depth)), "> ", "> ")]
    if tag in ("ul", "ol", "menu"):
        return [_list(node, depth)]
    if tag == "table":
        return [write_table(rows)] if (rows := _rows(node)) else blocks(node, depth)
    return blocks(node, depth)


def _inline(node: LexborNode, depth: int) -> str:
    tag = node.tag
    if tag == "-text":
        return node.text_content or ""
    if tag == "br":
        return _BREAK
    if tag == "wbr":
        return ""
    if depth > DEEPEST:
        return node.text()
    text = "".join(_inline(child, depth + 1) for child in _children(node))
    if tag == "a" and text.strip() in _ANCHORS:
        return ""
    if tag in _BLOCKS:
        return f" {text} "
    return _marked(tag or "", text)


def _marked(tag: str, text: str) -> str:
    core = text.strip()
    mark = "`" if tag in _CODE and "`" not in core else _MARKS.get(tag, "")
    if not core or not mark or core.startswith(mark):
        return text
    at = text.find(core)
    return f"{text[:at]}{mark}{core}{mark}{text[at + len(core) :]}"


def _collapse(text: str) -> str:
    lines = (" ".join(re.split(r"[ \t\n\r\f\u00a0]+", line)).strip(" ") for line in text.split(_BREAK))
    return "\n".join(lines).strip("\n")


def _fenced(node: LexborNode) -> str:
    code = "".join(_verbatim(child, 0) for child in _children(node)).strip("\n")
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", code))])
    return f"{fence}{_language(node)}\n{code}\n{fence}" if code.strip() else ""


def _verbatim(node: LexborNode, depth: int) -> str:
    if node.tag == "-text":
        return node.text_content or ""
    if node.tag == "br":
        return "\n"
    if depth > DEEPEST:
        return node.text()
    return "".join(_verbatim(child, depth + 1) for child in _children(node))


def _language(pre: LexborNode) -> str:
    """As the element itself, the code inside or the two elements around it say."""
    around = [pre.parent, pre.parent.parent if pre.parent is not None else None]
    for node in (pre.css_first("code"), pre, *around):
        found = _LANGUAGE.search((node.attributes.get("class") or "") if node is not None else "")
        if found and found[1] not in _NOT_A_LANGUAGE:
            return found[1]
    return ""


def _list(node: LexborNode, depth: int) -> str:
    number = _start(node)
    items: list[str] = []
    for child in _children(node):
        if child.tag == "-text" and not (child.text_content or "").strip():
            continue
        parts = blocks(child, depth) if child.tag == "li" else _loose(child, depth)
        if not parts:
            continue
        mark = f"{number}. " if node.tag == "ol" else "- "
        tight = all(re.match(r"(-|\d+\.) ", part) for part in parts[1:])
        items.append(_prefixed(("\n" if tight else "\n\n").join(parts), mark, " " * len(mark)))
        number += 1
    return "\n".join(items)


def _loose(node: LexborNode, depth: int) -> list[str]:
    """What stands in a list without an item around it."""
    return _block(node, depth) if _is_block(node) else [_collapse(_inline(node, depth))]


def _start(node: LexborNode) -> int:
    start = node.attributes.get("start") or ""
    return int(start) if re.fullmatch("[0-9]{1,6}", start) else 1


def _prefixed(text: str, first: str, other: str) -> str:
    lines = text.split("\n")
    return "\n".join([first + lines[0], *((other + line).rstrip() for line in lines[1:])])


def _rows(table: LexborNode) -> list[list[str]]:
    """The cells of a table of data; none for one that only lays a page out."""
    if table.css_first("h1, h2, h3, h4, h5, h6, ul, ol, pre, table table, blockquote") is not None:
        return []
    rows = [[_cell(cell) for cell in row.css("td, th")] for row in table.css("tr")]
    return rows if max((len(row) for row in rows), default=0) > 1 else []


def _cell(cell: LexborNode) -> str:
    return inline(cell).replace("\n", " ")
