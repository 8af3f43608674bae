// Words of which those in `backticks` are to be typed somewhere.

import { html } from "lit-html";

export const prose = (text) =>
  text.split("`").map((part, place) => (place % 2 ? html`<code>${part}</code>` : part));
