// The text of a message as elements: markdown that grows by its last block alone, or plain text.

import { nothing } from "lit-html";
import { Directive, directive } from "lit-html/directive.js";
import { MarkdownView } from "../../parts/markdown.js";

class Shown extends Directive {
  #view = null;
  #text = null;

  update({ element }, [text]) {
    this.#view ??= new MarkdownView(element);
    if (text !== this.#text) this.#view.show(text);
    this.#text = text;
    return nothing;
  }
}

/** html`<div ${shownMarkdown(text)}></div>` */
export const shownMarkdown = directive(Shown);
