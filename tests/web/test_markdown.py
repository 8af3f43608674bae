"""Markdown as models write it, and as nobody should: what becomes of it, and that nothing takes long."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

RENDER = Path(__file__).with_name("render.mjs")

READ = {
    "# T\n\nSome **bold** and *it*, `c`\nnew line": "<h1>T</h1>"
    "<p>Some <strong>bold</strong> and <em>it</em>, <code>c</code><br></br>new line</p>",
    "- a\n- b\n  - c\n    - d\n- e\n\nafter": "<ul><li>a</li><li>b<ul><li>c<ul><li>d</li></ul></li></ul></li>"
    "<li>e</li></ul><p>after</p>",
    "1. **One**:\n  - x\n  - y\n\n2. Two": "<ol>"
    "<li><p><strong>One</strong>:</p><ul><li>x</li><li>y</li></ul></li><li><p>Two</p></li></ol>",
    "1. a\n   ```py\n   x\n     y\n   ```\n2. b": "<ol><li>a<pre py>x\n  y</pre></li><li>b</li></ol>",
    "3. c\n4. d": "<ol 3><li>c</li><li>d</li></ol>",
    "- [ ] to do\n- [x] done": "<ul><li>[ ]to do</li><li>[x]done</li></ul>",
    "| a | b |\n|:-:|--:|\n| 1 | x \\| y |\n| 2 |": "<table center right>a|b/1|x | y/2|</table>",
    "```python\ndef f():\n    return 1": "<pre python>def f():\n    return 1</pre>",
    "````md\n```js\nx\n```\n````": "<pre md>```js\nx\n```</pre>",
    "> q\n> - a\nlazy": "<quote><p>q</p><ul><li>a<br></br>lazy</li></ul></quote>",
    "Title\n===\ntext\n\n---": "<h1>Title</h1><p>text</p><hr>",
    "snake_case_name, 2 * 3 * 4, __init__.py": "<p>snake_case_name, 2 * 3 * 4, <strong>init</strong>.py</p>",
    "***both*** ~~gone~~ **a*b*c** **open": "<p><em><strong>both</strong></em> <del>gone</del> "
    "<strong>a<em>b</em>c</strong> **open</p>",
    '[**l**](http://x.y/(a) "t") [1] ![pic](http://p.q/r.png)': "<p>"
    "<a http://x.y/(a)><strong>l</strong></a> [1] <a http://p.q/r.png>pic</a></p>",
    "(see https://x.y/a_(b)), <https://z.w>.": "<p>(see <a https://x.y/a_(b)>https://x.y/a_(b)</a>), "
    "<a https://z.w>https://z.w</a>.</p>",
    "``a`b`` and \\*star\\* &amp; &copy;": "<p><code>a`b</code> and *star* & &copy;</p>",
    "<script>x</script> <b onclick=x>t</b>": "<p>&lt;script>x&lt;/script> &lt;b onclick=x>t&lt;/b></p>",
    "**注意**：中文**粗体**文字": "<p><strong>注意</strong>：中文<strong>粗体</strong>文字</p>",
}
LENGTH = 20_000
BOMBS = [
    *(
        unit * (LENGTH // len(unit))
        for unit in ("[", "]", "*", "`", "<", "\\", ">", "> ", "- ", "![", "[a](", "a**b")
    ),
    *(
        unit * (LENGTH // len(unit))
        for unit in ("*a _b ", "*_~~", "~~a", "- a\n", "|-", "```\n", "a\n---\n", "http://")
    ),
    "http://a" + ")" * LENGTH,
    "[a](" + "(" * LENGTH,
    "a|b\n" + "|-" * LENGTH + "x",
    "# a" + " #" * LENGTH + "x",
    "- " * LENGTH + "x",
    "> a\n" + "b\n" * LENGTH,
    "".join("`" * n + "a" for n in range(200)),
    "\n".join("  " * n + "- a" for n in range(200)),
]
MILLISECONDS = 3000


@pytest.fixture(scope="module")
def rendered():
    """text → (short markup, milliseconds) of everything here."""
    texts = [*READ, *BOMBS]
    node = shutil.which("node")
    assert node is not None, "node is missing: scripts/test installs it"
    run = subprocess.run([node, RENDER], input=json.dumps(texts), capture_output=True, text=True, check=True)
    return dict(zip(texts, json.loads(run.stdout), strict=True))


@pytest.mark.parametrize("text", READ)
def test_markdown_is_read_as_it_was_meant(rendered, text):
    assert rendered[text][0] == READ[text]


def test_no_text_takes_long(rendered):
    assert [text[:20] for text in BOMBS if rendered[text][1] > MILLISECONDS] == []
