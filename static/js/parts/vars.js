// Custom properties of an element, set through the CSSOM: the content security policy forbids style attributes.

import { nothing } from "lit-html";
import { Directive, directive } from "lit-html/directive.js";

class Vars extends Directive {
  update({ element }, [values]) {
    for (const [name, value] of Object.entries(values)) element.style.setProperty(`--${name}`, value);
    return nothing;
  }
}

/** html`<div ${vars({ share: 0.4 })}>`, read in a style sheet as var(--share). */
export const vars = directive(Vars);
