// The side of the page: its name, the pages, the palette and the theme.

import { html, render } from "lit-html";
import { PAGES } from "../pages.js";
import { watch } from "../state/store.js";
import { icon } from "../parts/icons.js";
import { sentence } from "../parts/format.js";
import { addCommand } from "./commands.js";
import { bind, keycaps, MODIFIER } from "./keys.js";
import { openPalette } from "./palette.js";
import { go, shown } from "./router.js";
import { ICONS, nextTheme, theme } from "./theme.js";

const listed = PAGES.filter((page) => page.icon);

export function startNavigation() {
  for (const { path, name, icon, key } of listed) {
    const keys = key && `g ${key}`;
    const run = () => go(path);
    if (keys) bind(keys, { title: `Go to ${name}`, group: "Go to", run });
    addCommand({ title: name, icon, group: "Pages", keys, run });
  }
  const side = document.getElementById("side");
  watch([shown, theme], () => render(content(), side));
}

const content = () => html`
  <a class="brand" href="/" aria-label="ForgeLLM, to the start">
    <img src="/static/icon.svg" alt="" width="28" height="28">
    <span class="brand-name">ForgeLLM<small title="The workspace">${document.body.dataset.workspace}</small></span>
  </a>
  <nav aria-label="Pages"><ul>${listed.map(item)}</ul></nav>
  <div class="side-end">
    <button class="side-item" @click=${openPalette} aria-keyshortcuts="Control+K" data-tip="Search and commands">
      ${icon("search")}<span>Search</span><kbd>${MODIFIER} K</kbd>
    </button>
    <button class="side-item" @click=${() => theme.set(nextTheme())} data-tip="Theme: ${theme.value}"
      aria-label="Theme: ${theme.value}. Change it to ${nextTheme()}">
      ${icon(ICONS[theme.value])}<span>${sentence(theme.value)} theme</span>
    </button>
  </div>`;

function item({ path, name, icon: drawing, key }) {
  const page = shown.value?.page;
  const here = page && (page.within ?? page.path) === path;
  return html`<li><a class="side-item" href=${path} aria-current=${here ? "page" : "false"} data-tip=${name}>
    ${icon(drawing)}<span>${name}</span>${key ? html`<i aria-hidden="true">${keycaps(`g ${key}`)}</i>` : ""}
  </a></li>`;
}
