// Markdown of models and cards as elements. Every element is made here, by a short list of tags, and every text goes in as
// text: there is no markup that could be misread. Links open elsewhere and carry nothing along; there are no pictures.
// Only the block that is still open is made anew while text streams in.

import { copying } from "./action.js";
import { showCode } from "./code.js";
import { blocksOf } from "./markdown_blocks.js";
import { inline } from "./markdown_inline.js";

const LINKED = /^(?:https?|mailto):/i;
/** Headings of a text stand below those of the page. */
const BELOW = 2;

/** Shows growing markdown in an element. `breaks`: a new line breaks the line, as in a chat. */
export class MarkdownView {
  #element;
  #breaks;
  #shown = [];

  constructor(element, { breaks = true } = {}) {
    [this.#element, this.#breaks] = [element, breaks];
    element.classList.add("markdown");
  }

  /** Show `text`; blocks that are as they were keep their elements. */
  show(text) {
    const blocks = blocksOf(text);
    let same = 0;
    while (same < blocks.length && this.#shown[same]?.raw === blocks[same].raw) same += 1;
    const changed = this.#shown[same];
    if (changed?.grow && blocks[same]?.type === "code" && blocks[same].language === changed.language) {
      changed.grow(blocks[same].text);
      this.#shown[same] = { ...changed, raw: blocks[same].raw };
      same += 1;
    }
    for (const { element } of this.#shown.splice(same)) element.remove();
    for (const block of blocks.slice(same)) {
      const made = block.type === "code" ? codeBlock(block) : { element: elementOf(block, this.#breaks) };
      this.#element.append(made.element);
      this.#shown.push({ raw: block.raw, ...made });
    }
  }
}

/** Markdown of a file, in an element of its own. */
export function markdown(text) {
  const holder = document.createElement("div");
  new MarkdownView(holder, { breaks: false }).show(text);
  return holder;
}

function make(tag, ...children) {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
}

function elementOf(block, breaks) {
  const words = (text) => inline(text, { breaks }).map(node);
  switch (block.type) {
    case "code": return codeBlock(block).element;
    case "rule": return make("hr");
    case "heading": return Object.assign(make(`h${Math.min(6, block.level + BELOW)}`, ...words(block.text)), { className: `level-${block.level}` });
    case "quote": return make("blockquote", ...block.blocks.map((inner) => elementOf(inner, breaks)));
    case "list": return listOf(block, breaks);
    case "table": return tableOf(block, words);
    default: return make("p", ...words(block.text));
  }
}

function node(item) {
  if (typeof item === "string") return document.createTextNode(item);
  const children = item.children.map(node);
  if (item.tag !== "a") return make(item.tag, ...children);
  // What is no address is the text that it is.
  if (!LINKED.test(item.href)) return make("span", ...children);
  return Object.assign(make("a", ...children), { href: item.href, target: "_blank", rel: "noopener noreferrer nofollow" });
}

function listOf({ ordered, start, loose, items }, breaks) {
  const list = make(ordered ? "ol" : "ul", ...items.map((item) => itemOf(item, loose, breaks)));
  if (ordered && start !== 1) list.start = start;
  return list;
}

function itemOf({ done, blocks }, loose, breaks) {
  const item = make("li", ...blocks.flatMap((block) => (block.type === "paragraph" && !loose
    ? inline(block.text, { breaks }).map(node)
    : [elementOf(block, breaks)])));
  if (done !== null) {
    item.className = "task";
    item.prepend(Object.assign(make("input"), { type: "checkbox", checked: done, disabled: true, ariaLabel: done ? "Done" : "To do" }));
  }
  return item;
}

function tableOf({ head, aligned, rows }, words) {
  const cell = (tag) => (text, n) => Object.assign(make(tag, ...words(text)), { className: aligned[n] });
  const body = rows.map((row) => make("tr", ...row.map(cell("td"))));
  const table = make("table", make("thead", make("tr", ...head.map(cell("th")))), make("tbody", ...body));
  return Object.assign(make("div", table), { className: "table-scroll" });
}

/** A block of code with its language and a button; `grow` shows more of it. */
function codeBlock({ text, language }) {
  let shown = text;
  const code = make("code"), pre = Object.assign(make("pre", code), { tabIndex: 0 });
  const button = Object.assign(make("button", "Copy"), { type: "button", className: "button small" });
  button.addEventListener("click", copying(() => shown, "Code copied"));
  const head = make("div", make("span", language.slice(0, 20)), button);
  const element = Object.assign(make("div", head, pre), { className: "code-block" });
  const grow = (more) => {
    shown = more;
    showCode(code, more, language);
  };
  grow(text);
  return { element, language, grow };
}
