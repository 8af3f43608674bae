// Markdown of models and cards as elements: marked makes markup of it, DOMPurify lets a short list of tags through.
// Markup in the text is shown as the text it is, images as links; links open elsewhere and carry nothing along. Only the
// block that is still open is made anew while text streams in.

import DOMPurify from "dompurify";
import { Marked } from "marked";
import { copying } from "./action.js";
import { showCode } from "./code.js";

// Without attributes these can do nothing, and models use them in tables.
const HARMLESS = /^<(?:br\s*\/?|\/?(?:b|i|em|strong|sub|sup|kbd|u|s))>$/i;
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const escaped = (text) => text.replace(/[&<>"']/g, (character) => ESCAPES[character]);

// Even in a document that is never shown, a handler or a style would be reported to the content security policy.
const renderer = {
  html: ({ text, block }) => {
    if (HARMLESS.test(text.trim())) return text;
    return block ? `<p>${escaped(text.trim()).replaceAll("\n", "<br>")}</p>` : escaped(text);
  },
  image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
};
const marked = new Marked({ gfm: true, breaks: true, renderer });

const ALLOWED = {
  ALLOWED_TAGS: [
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong",
    "del", "a", "table", "thead", "tbody", "tr", "th", "td", "b", "i", "sub", "sup", "kbd", "u", "s",
  ],
  ALLOWED_ATTR: ["href", "align", "start", "class"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/** Shows growing markdown in an element. */
export class MarkdownView {
  #element;
  #blocks = [];

  constructor(element) {
    this.#element = element;
    element.classList.add("markdown");
  }

  /** Show `text`; blocks that are as they were keep their elements. */
  show(text) {
    const tokens = marked.lexer(text);
    const links = JSON.stringify(tokens.links);
    const blocks = tokens.filter(({ type }) => type !== "space");
    let same = 0;
    while (same < blocks.length && this.#isSame(this.#blocks[same], blocks[same], links)) same += 1;
    for (const { nodes } of this.#blocks.splice(same)) nodes.forEach((node) => node.remove());
    for (const token of blocks.slice(same)) {
      const nodes = [...elements(token, tokens.links).childNodes];
      this.#element.append(...nodes);
      this.#blocks.push({ raw: token.raw, links, nodes });
    }
  }

  #isSame(block, token, links) {
    return block?.raw === token.raw && block.links === links;
  }
}

/** Markdown that does not change, as a fragment. */
export function markdown(text) {
  const holder = document.createElement("div");
  new MarkdownView(holder).show(text);
  return holder;
}

function elements(token, links) {
  if (token.type === "code") return codeBlock(token);
  const tokens = Object.assign([token], { links });
  const fragment = DOMPurify.sanitize(marked.parser(tokens), ALLOWED);
  for (const link of fragment.querySelectorAll("a")) {
    if (!link.hasAttribute("href")) link.replaceWith(...link.childNodes);
    else Object.assign(link, { target: "_blank", rel: "noopener noreferrer nofollow" });
  }
  for (const marked of fragment.querySelectorAll("[class]")) {
    if (!marked.matches("code[class^=language-]")) marked.removeAttribute("class");
  }
  for (const code of fragment.querySelectorAll("pre > code")) {
    code.parentElement.replaceWith(codeBlock({ text: code.textContent, lang: code.className.replace("language-", "") }));
  }
  for (const wide of fragment.querySelectorAll("table")) {
    const scroll = document.createElement("div");
    scroll.className = "table-scroll";
    wide.replaceWith(scroll);
    scroll.append(wide);
  }
  return fragment;
}

function codeBlock({ text, lang = "" }) {
  const fragment = document.createDocumentFragment();
  const [block, head, name, button, pre, code] = ["div", "div", "span", "button", "pre", "code"].map((tag) => document.createElement(tag));
  const language = (lang ?? "").split(/\s/)[0].slice(0, 20);
  block.className = "code-block";
  name.textContent = language;
  button.className = "button small";
  button.textContent = "Copy";
  button.addEventListener("click", copying(text, "Code copied"));
  pre.tabIndex = 0;
  head.append(name, button);
  pre.append(code);
  block.append(head, pre);
  showCode(code, text, language);
  fragment.append(block);
  return fragment;
}
