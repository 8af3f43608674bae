// Light, dark, or what the system says. Remembered in this browser; early.js sets it before the first drawing.

import { Store } from "../state/store.js";
import { addCommand } from "./commands.js";

const KEY = "forgellm.theme";
export const THEMES = ["system", "light", "dark"];

/** What was chosen. */
export const theme = new Store(document.documentElement.dataset.theme);

/** Counts up when colours change: whoever draws on a canvas draws again. */
export const recoloured = new Store(0);

export function startTheme() {
  const changed = () => recoloured.set(recoloured.value + 1);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  theme.subscribe((chosen) => {
    document.documentElement.dataset.theme = chosen;
    localStorage.setItem(KEY, chosen);
    changed();
  });
  for (const name of THEMES) {
    addCommand({ title: `Theme: ${name}`, icon: ICONS[name], group: "Appearance", run: () => theme.set(name) });
  }
}

export const ICONS = { system: "system", light: "sun", dark: "moon" };

/** The theme that a click on the switch leads to. */
export const nextTheme = () => THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];

/** A colour of the theme by its name in theme.css, as a canvas takes it: colour("accent"). */
export function colour(name) {
  const probe = document.getElementById("colour");
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}
