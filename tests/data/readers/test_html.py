"""What of a web page is its text, and in which structure."""

from __future__ import annotations

import pytest

from forgellm.data.readers.html import read_html, to_markdown

STRUCTURE = {
    "headings and paragraphs": (
        "<h1>One</h1><p>a\n  b</p><h3>Two</h3>c<p>d",
        "# One\n\na b\n\n### Two\n\nc\n\nd",
    ),
    "emphasis and code": ("<p><b>a</b> <em> b </em><code>c_d</code></p>", "**a** *b* `c_d`"),
    "a link is its text": ('<p>see <a href="http://x.y">this</a></p>', "see this"),
    "a line break": ("<p>a<br>b</p>", "a\nb"),
    "nothing is escaped": ("<p>2 * 3 &lt; 7 and a_b_c</p>", "2 * 3 < 7 and a_b_c"),
    "lists in lists": (
        "<ul><li>a<ul><li>b</ul><li><p>c</p><p>d</p></ul><ol start=9><li>e<li>f</ol>",
        "- a\n  - b\n- c\n\n  d\n\n9. e\n10. f",
    ),
    "code with its language": (
        '<pre><code class="language-py">if a:\n    <b>b</b>\n</code></pre>',
        "```py\nif a:\n    b\n```",
    ),
    "a fence longer than the one inside": ("<pre>```\nx\n```</pre>", "````\n```\nx\n```\n````"),
    "a table": (
        "<table><tr><th>a<th>b|c</tr><tr><td><p>1</p><td>2<br>3</tr><tr></tr></table>",
        "| a | b\\|c |\n| --- | --- |\n| 1 | 2 3 |",
    ),
    "a table that lays a page out": (
        "<table><tr><td><ul><li>menu</ul></td><td><h2>Text</h2>a</td></tr></table>",
        "- menu\n\n## Text\n\na",
    ),
    "a quotation": ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n>\n> b"),
    "ruby without its reading": ("<p><ruby>漢<rp>(</rp><rt>kan</rt></ruby>字</p>", "漢字"),
    "blocks inside a link": ("<a href=x><h2>a</h2><p>b</p></a>", "## a\n\nb"),
}

LEFT_OUT = {
    "scripts and styles": "<script>x()</script><style>y{}</style><noscript>z</noscript>",
    "navigation": "<nav>x</nav><div role=navigation>y</div>",
    "controls": "<button>x</button><select><option>y</select><textarea>z</textarea>",
    "hidden parts": "<div hidden>x</div><p aria-hidden=true>y</p><template>z</template><!-- c -->",
    "pictures": '<img src=a.png alt="x"><svg><text>y</text></svg>',
    "a heading's link to itself": '<a class=headerlink href="#a">¶</a>',
}


@pytest.mark.parametrize("name", STRUCTURE)
def test_structure_is_kept(name):
    html, markdown = STRUCTURE[name]
    assert to_markdown(html) == markdown


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_not_the_text_is_left_out(name):
    assert to_markdown(f"<p>before</p>{LEFT_OUT[name]}<p>after</p>") == "before\n\nafter"


def test_only_the_main_part_is_read_where_a_page_names_it():
    assert to_markdown("<header>top</header><main><h1>a</h1>b</main><footer>end</footer>") == "# a\n\nb"
    assert to_markdown("<p>top</p><main><nav>only links</nav></main>") == "top"


def test_the_title_heads_a_page_without_a_heading():
    page = "<title>Name &amp; more</title><p>a</p>"
    assert to_markdown(page) == "# Name & more\n\na"
    assert to_markdown(page, titled=False) == "a"
    assert to_markdown("<title>Name</title><h1>Other</h1>") == "# Other"
    assert to_markdown("<title>Name</title>") == ""


def test_a_page_says_its_encoding_itself():
    page = "<meta charset='iso-8859-1'><p>é</p>".encode("latin-1")
    assert read_html(page) == ("é", "Windows-1252")


def test_elements_that_xhtml_closes_at_once_swallow_nothing():
    head = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="a"/></head>'
    assert to_markdown(f'{head}<body><a id="x"/><p>a<br/>b</p><div/>c</body></html>') == "a\nb\n\nc"


def test_elements_inside_each_other_without_end_are_read_flat():
    for tag in ("div", "b", "blockquote", "ul><li", "span"):
        assert "deep" in to_markdown(f"<{tag}>" * 4_000 + "deep")
    assert "deep" in to_markdown("<pre>" + "<b>" * 4_000 + "deep")
