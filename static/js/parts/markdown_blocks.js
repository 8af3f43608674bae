// The blocks of a markdown text: paragraphs, headings, lists, tables, code. Made into plain objects; what stands within
// their lines is left to markdown_inline.js.

const FENCE = /^( {0,3})(`{3,}|~{3,})\s*(.*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:( +)(.*))?$/;
const UNDERLINE = /^ {0,3}(=+|-+)\s*$/;
const DIVIDER = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const TASK = /^\[([ xX])\]\s+/;
const DEEPEST = 12;

/** The blocks of a text, each with its `raw` lines: blocks that have the same are the same. */
export function blocksOf(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n").map(untabbed);
  return parsed(lines, 0).map(({ from, to, ...block }) => ({ ...block, raw: lines.slice(from, to).join("\n") }));
}

const untabbed = (line) => line.replace(/^[ \t]+/, (indent) => indent.replaceAll("\t", "    "));
const isBlank = (line) => !/\S/.test(line);
const indentOf = (line) => line.length - line.trimStart().length;

function parsed(lines, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const read = depth > DEEPEST ? paragraph : READERS.find((reader) => reader.begins(lines, at))?.read ?? paragraph;
    const block = { from: at, ...read(lines, at, depth) };
    blocks.push(block);
    at = block.to;
  }
  return blocks;
}

const READERS = [
  { begins: (lines, at) => isFence(lines[at]), read: code },
  { begins: (lines, at) => HEADING.test(lines[at]), read: heading },
  { begins: (lines, at) => RULE.test(lines[at]), read: (lines, at) => ({ type: "rule", to: at + 1 }) },
  { begins: (lines, at) => QUOTE.test(lines[at]), read: quote },
  { begins: (lines, at) => isItem(lines[at]), read: list },
  { begins: isTable, read: table },
];

/** Whether a line ends the paragraph before it. Only a list that begins with 1 does. */
function interrupts(lines, at) {
  const item = isItem(lines[at]) && lines[at].match(ITEM);
  if (item) return Boolean(item[4]) && (!/\d/.test(item[2]) || /^1[.)]$/.test(item[2]));
  return READERS.some((reader) => reader.read !== list && reader.begins(lines, at));
}

function isFence(line) {
  const found = line.match(FENCE);
  return found !== null && !(found[2][0] === "`" && found[3].includes("`"));
}

function code(lines, at) {
  const [, indent, marks, info] = lines[at].match(FENCE);
  const end = new RegExp(`^ {0,3}${marks[0]}{${marks.length},}\\s*$`);
  const content = [];
  let to = at + 1;
  while (to < lines.length && !end.test(lines[to])) {
    content.push(lines[to].slice(Math.min(indent.length, indentOf(lines[to]))));
    to += 1;
  }
  return { type: "code", language: info.trim().split(/\s/)[0], text: content.join("\n"), to: Math.min(to + 1, lines.length) };
}

function heading(lines, at) {
  const [, marks, text = ""] = lines[at].match(HEADING);
  return { type: "heading", level: marks.length, text, to: at + 1 };
}

function quote(lines, at, depth) {
  const content = [];
  let to = at;
  while (to < lines.length && (QUOTE.test(lines[to]) || goesOn(lines, to, content))) {
    content.push(lines[to].replace(QUOTE, ""));
    to += 1;
  }
  return { type: "quote", blocks: parsed(content, depth + 1), to };
}

/** A line without the mark of its quote or the indent of its item, which is meant to belong there all the same. */
const goesOn = (lines, at, before) =>
  before.length > 0 && !isBlank(before.at(-1)) && !isBlank(lines[at]) && !isItem(lines[at]) && !interrupts(lines, at);

function isItem(line) {
  return ITEM.test(line) && indentOf(line) < 4 && !RULE.test(line);
}

function list(lines, at, depth) {
  const [, indent, marker] = lines[at].match(ITEM);
  const kind = marker.at(-1), ordered = /\d/.test(marker), items = [];
  let to = at, loose = false;
  while (to < lines.length) {
    const item = isSibling(lines[to], { kind, indent: indent.length }) ? itemLines(lines, to, indent.length) : null;
    if (!item) break;
    items.push(item.content);
    let next = item.to;
    while (next < lines.length && isBlank(lines[next])) next += 1;
    const goes = next < lines.length && isSibling(lines[next], { kind, indent: indent.length });
    loose ||= item.loose || (goes && next > item.to);
    to = goes ? next : item.to;
  }
  const start = ordered ? Number(marker.slice(0, -1)) : null;
  return { type: "list", ordered, start, loose, items: items.map((content) => itemOf(content, depth)), to };
}

/** An item of the same list: the same marker, no further in than its content could be. */
function isSibling(line, { kind, indent }) {
  const found = line.match(ITEM);
  return found !== null && !RULE.test(line) && found[2].at(-1) === kind && Math.abs(found[1].length - indent) < 2;
}

function itemLines(lines, at, indent) {
  const [, before, marker, gap = " ", first = ""] = lines[at].match(ITEM);
  const inner = before.length + marker.length + (gap.length > 4 ? 1 : gap.length);
  const content = [gap.length > 4 ? gap.slice(1) + first : first];
  let to = at + 1, loose = false;
  for (let next = to; next < lines.length; next += 1) {
    const line = lines[next], deep = indentOf(line);
    if (isBlank(line)) {
      content.push("");
      continue;
    }
    // Two spaces are enough for a list within: many write it so below a number.
    const within = deep >= inner || (deep >= indent + 2 && ITEM.test(line));
    if (!within && (next > to || !goesOn(lines, next, content))) break;
    loose ||= next > to && !ITEM.test(line);
    content.push(line.slice(Math.min(deep, inner)));
    to = next + 1;
  }
  return { content: content.slice(0, to - at), to, loose };
}

function itemOf(content, depth) {
  const task = content[0].match(TASK);
  const rest = task ? [content[0].slice(task[0].length), ...content.slice(1)] : content;
  return { done: task ? task[1] !== " " : null, blocks: parsed(rest, depth + 1) };
}

function isTable(lines, at) {
  const next = lines[at + 1];
  if (next === undefined || !lines[at].includes("|") || !DIVIDER.test(next) || !/[|:]/.test(next)) return false;
  return cells(lines[at]).length === cells(next).length;
}

const cells = (line) => line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/)
  .map((cell) => cell.trim().replaceAll("\\|", "|"));

function table(lines, at) {
  const head = cells(lines[at]);
  const aligned = cells(lines[at + 1]).map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : "left"));
  const rows = [];
  let to = at + 2;
  while (to < lines.length && !isBlank(lines[to]) && (lines[to].includes("|") || !interrupts(lines, to))) {
    const row = cells(lines[to]);
    rows.push(head.map((_, n) => row[n] ?? ""));
    to += 1;
  }
  return { type: "table", head, aligned, rows, to };
}

function paragraph(lines, at) {
  let to = at + 1;
  while (to < lines.length && !isBlank(lines[to])) {
    const underline = lines[to].match(UNDERLINE);
    if (underline) {
      const level = underline[1][0] === "=" ? 1 : 2;
      return { type: "heading", level, text: joined(lines.slice(at, to)), to: to + 1 };
    }
    if (interrupts(lines, to)) break;
    to += 1;
  }
  return { type: "paragraph", text: joined(lines.slice(at, to)), to };
}

const joined = (lines) => lines.map((line) => line.trimStart()).join("\n").trimEnd();
