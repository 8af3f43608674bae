// Reads a list of markdown texts as JSON, writes what parts/markdown_*.js make of them, as short markup, and how long
// each took in milliseconds.

import { readFileSync } from "node:fs";
import { blocksOf } from "../../static/js/parts/markdown_blocks.js";
import { inline } from "../../static/js/parts/markdown_inline.js";

const words = (text) => inline(text).map(node).join("");
const wrap = (tag, content, extra = "") => `<${tag}${extra}>${content}</${tag}>`;

function node(item) {
  if (typeof item === "string") return item.replaceAll("<", "&lt;");
  return wrap(item.tag, item.children.map(node).join(""), item.href === undefined ? "" : ` ${item.href}`);
}

const item = (loose) => ({ done, blocks }) => wrap("li", (done === null ? "" : done ? "[x]" : "[ ]")
  + blocks.map((inner) => (inner.type === "paragraph" && !loose ? words(inner.text) : block(inner))).join(""));

function block(given) {
  switch (given.type) {
    case "code": return wrap("pre", given.text, ` ${given.language}`);
    case "rule": return "<hr>";
    case "heading": return wrap(`h${given.level}`, words(given.text));
    case "quote": return wrap("quote", given.blocks.map(block).join(""));
    case "list": return wrap(given.ordered ? "ol" : "ul", given.items.map(item(given.loose)).join(""), given.start > 1 ? ` ${given.start}` : "");
    case "table": return wrap("table", [given.head, ...given.rows].map((row) => row.map(words).join("|")).join("/"), ` ${given.aligned.join(" ")}`);
    default: return wrap("p", words(given.text));
  }
}

const made = JSON.parse(readFileSync(0, "utf8")).map((text) => {
  const begun = performance.now();
  const markup = blocksOf(text).map(block).join("");
  return [markup, performance.now() - begun];
});
console.log(JSON.stringify(made));
