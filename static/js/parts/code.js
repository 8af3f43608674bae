// Code in colours. Every piece goes in as text; the longest programs stay plain.

import { tokenizeWith } from "@speed-highlight/core/tokenize";
import bash from "@speed-highlight/core/languages/bash.js";
import c from "@speed-highlight/core/languages/c.js";
import css from "@speed-highlight/core/languages/css.js";
import diff from "@speed-highlight/core/languages/diff.js";
import go from "@speed-highlight/core/languages/go.js";
import html from "@speed-highlight/core/languages/html.js";
import java from "@speed-highlight/core/languages/java.js";
import js from "@speed-highlight/core/languages/js.js";
import json from "@speed-highlight/core/languages/json.js";
import py from "@speed-highlight/core/languages/py.js";
import rs from "@speed-highlight/core/languages/rs.js";
import sql from "@speed-highlight/core/languages/sql.js";
import toml from "@speed-highlight/core/languages/toml.js";
import ts from "@speed-highlight/core/languages/ts.js";
import xml from "@speed-highlight/core/languages/xml.js";
import yaml from "@speed-highlight/core/languages/yaml.js";

const LANGUAGES = { bash, c, css, diff, go, html, java, js, json, py, rs, sql, toml, ts, xml, yaml };
const ALIASES = {
  sh: "bash", shell: "bash", zsh: "bash", console: "bash", cpp: "c", "c++": "c", h: "c", cs: "java", kotlin: "java",
  swift: "rs", golang: "go", javascript: "js", jsx: "js", mjs: "js", typescript: "ts", tsx: "ts", python: "py",
  python3: "py", rust: "rs", yml: "yaml", svg: "xml", jsonl: "json", patch: "diff",
};
const LONGEST = 20_000;

/** Fill `element` with `text`, coloured as `language` where that is known. */
export function showCode(element, text, language = "") {
  const name = ALIASES[language.toLowerCase()] ?? language.toLowerCase();
  const grammar = Object.hasOwn(LANGUAGES, name) ? LANGUAGES[name] : null;
  if (!grammar || text.length > LONGEST) {
    element.textContent = text;
    return;
  }
  const pieces = document.createDocumentFragment();
  const add = (piece, type) => {
    if (!piece) return;
    if (!type) return pieces.append(piece);
    const span = document.createElement("span");
    span.className = `code-${type}`;
    span.textContent = piece;
    pieces.append(span);
  };
  tokenizeWith(text, grammar, add, { languages: LANGUAGES });
  element.replaceChildren(pieces);
}
