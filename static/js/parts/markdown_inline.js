// What stands within a line of markdown: emphasis, code, links. Made into a tree of plain objects; nothing here is
// markup, and tags in the text stay text.

const PUNCTUATION = /[\p{P}\p{S}]/u;
const SPACE = /^$|\s/;
const SPECIAL = /[\\`*_~[\]!<&\n]|\bhttps?:\/\//g;
const DESTINATION = /\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\([^\s()]*\))*))(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/y;
const ADDRESS = /https?:\/\/[^\s<>"'`]+/y;
const ANGLED = /<(https?:\/\/[^\s<>]+|mailto:[^\s<>]+)>|<br\s*\/?>/iy;
const ENTITY = /&(amp|lt|gt|quot|nbsp|#39);/y;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0", "#39": "'" };

/**
 * The tree of a text: strings, and `{tag, children, href?}`. A new line breaks the line where `breaks`, as in a chat;
 * without it only two spaces or a backslash before it do, as in a file.
 */
export function inline(text, { breaks = true } = {}) {
  const line = new Line(text, breaks);
  while (line.at < text.length) line.step();
  return emphasised(line.items);
}

class Line {
  items = [];
  at = 0;
  #text;
  #breaks;
  #brackets = [];
  #unclosed = new Set();

  constructor(text, breaks) {
    [this.#text, this.#breaks] = [text, breaks];
  }

  /** Take in what comes next. */
  step() {
    SPECIAL.lastIndex = this.at;
    const found = SPECIAL.exec(this.#text);
    const next = found ? found.index : this.#text.length;
    if (next > this.at) this.#add(this.#text.slice(this.at, next));
    this.at = next;
    if (!found) return;
    const special = found[0];
    if (special === "\\") this.#escape();
    else if (special === "`") this.#code();
    else if ("*_~".includes(special)) this.#delimiter(special);
    else if (special === "[" || special === "!") this.#open(special);
    else if (special === "]") this.#close();
    else if (special === "\n") this.#newLine();
    else if (special === "<") this.#angled();
    else if (special === "&") this.#entity();
    else this.#address();
  }

  #add(...items) {
    this.items.push(...items);
  }

  #literal(length = 1) {
    this.#add(this.#text.slice(this.at, this.at + length));
    this.at += length;
  }

  #matched(pattern, at = this.at) {
    pattern.lastIndex = at;
    return pattern.exec(this.#text);
  }

  #escape() {
    const next = this.#text[this.at + 1] ?? "";
    if (next === "\n") this.#add({ tag: "br", children: [] });
    else this.#add(PUNCTUATION.test(next) ? next : `\\${next}`);
    this.at += 2;
  }

  #code() {
    const [marks] = this.#matched(/`+/y);
    const end = this.#unclosed.has(marks.length) ? -1 : closing(this.#text, marks, this.at + marks.length);
    if (end < 0) {
      this.#unclosed.add(marks.length);
      return this.#literal(marks.length);
    }
    const inside = this.#text.slice(this.at + marks.length, end).replaceAll("\n", " ");
    const trimmed = /^ .*[^ ].* $/.test(inside) ? inside.slice(1, -1) : inside;
    this.#add({ tag: "code", children: [trimmed] });
    this.at = end + marks.length;
  }

  #delimiter(mark) {
    const start = this.at;
    while (this.#text[this.at] === mark) this.at += 1;
    const before = this.#text[start - 1] ?? "", after = this.#text[this.at] ?? "";
    const left = !SPACE.test(after) && (!PUNCTUATION.test(after) || SPACE.test(before) || PUNCTUATION.test(before));
    const right = !SPACE.test(before) && (!PUNCTUATION.test(before) || SPACE.test(after) || PUNCTUATION.test(after));
    // In snake_case nothing is emphasised.
    const opens = left && (mark !== "_" || !right || PUNCTUATION.test(before));
    const closes = right && (mark !== "_" || !left || PUNCTUATION.test(after));
    const count = this.at - start;
    this.#add({ mark, count, length: count, opens, closes });
  }

  #open(special) {
    const image = special === "!";
    if (image && this.#text[this.at + 1] !== "[") return this.#literal();
    this.#brackets.push({ place: this.items.length, image });
    this.#literal(image ? 2 : 1);
  }

  /** A link or a picture, if an address follows; a picture becomes a link to it. */
  #close() {
    const bracket = this.#brackets.pop();
    const target = bracket && this.#matched(DESTINATION, this.at + 1);
    if (!target) return this.#literal();
    const inside = emphasised(this.items.splice(bracket.place).slice(1));
    const href = (target[1] ?? target[2]).replace(/\\([\p{P}\p{S}])/gu, "$1");
    this.#add({ tag: "a", href, children: inside.length ? inside.flatMap(unlinked) : [href] });
    this.at += 1 + target[0].length;
    if (!bracket.image) this.#brackets = this.#brackets.filter(({ image }) => image);
  }

  #newLine() {
    const before = this.items.at(-1);
    const hard = typeof before === "string" && before.endsWith("  ");
    if (typeof before === "string") this.items[this.items.length - 1] = before.trimEnd();
    this.#add(hard || this.#breaks ? { tag: "br", children: [] } : " ");
    this.at += 1;
    while (this.#text[this.at] === " ") this.at += 1;
  }

  #angled() {
    const found = this.#matched(ANGLED);
    if (!found) return this.#literal();
    this.#add(found[1] ? { tag: "a", href: found[1], children: [found[1]] } : { tag: "br", children: [] });
    this.at += found[0].length;
  }

  #entity() {
    const found = this.#matched(ENTITY);
    if (!found) return this.#literal();
    this.#add(ENTITIES[found[1]]);
    this.at += found[0].length;
  }

  /** An address as it is; a full stop or a bracket after it is not its own. */
  #address() {
    const href = withoutTail(this.#matched(ADDRESS)?.[0] ?? "");
    if (!href) return this.#literal();
    this.#add({ tag: "a", href, children: [href] });
    this.at += href.length;
  }
}

function closing(text, marks, from) {
  const runs = /`+/g;
  runs.lastIndex = from;
  for (let run = runs.exec(text); run; run = runs.exec(text)) if (run[0] === marks) return run.index;
  return -1;
}

function withoutTail(address) {
  const bare = address.replace(/[.,;:!?*_~]+$/, "");
  let end = bare.length, extra = bare.split(/[)\]}]/).length - bare.split(/[([{]/).length;
  while (extra > 0 && /[)\]}]/.test(bare[end - 1])) {
    end -= 1;
    extra -= 1;
  }
  return bare.slice(0, end);
}

const unlinked = (node) => (node.tag === "a" ? node.children : [node]);

/** The items with pairs of delimiters made into emphasis, by the rules of CommonMark; the others are text. */
function emphasised(items) {
  const bottoms = {};
  for (let place = 0; place < items.length; place += 1) {
    const closer = items[place];
    if (!closer.mark || !closer.closes) continue;
    const kind = `${closer.mark}${closer.opens}${closer.length % 3}`;
    const opening = openerOf(items, place, bottoms[kind] ?? -1);
    if (opening < 0) {
      bottoms[kind] = place - 1;
      continue;
    }
    const opener = items[opening];
    const used = Math.min(2, opener.count, closer.count);
    const children = items.slice(opening + 1, place).map(plain);
    const tag = closer.mark === "~" ? "del" : used === 2 ? "strong" : "em";
    opener.count -= used;
    closer.count -= used;
    items.splice(opening + 1, place - opening - 1, { tag, children });
    // The closer stands right behind what was made; it is looked at again while it has marks left.
    place = opening + (closer.count ? 1 : 2);
  }
  return items.map(plain).filter((item) => item !== "");
}

function openerOf(items, place, bottom) {
  const closer = items[place];
  for (let at = place - 1; at > bottom; at -= 1) {
    const item = items[at];
    if (item.mark !== closer.mark || !item.opens || !item.count) continue;
    if (closer.mark === "~" && item.count !== closer.count) continue;
    const odd = (item.closes || closer.opens) && (item.length + closer.length) % 3 === 0 && item.length % 3 !== 0;
    if (!odd) return at;
  }
  return -1;
}

const plain = (item) => (item.mark ? item.mark.repeat(item.count) : item);
