// One's own presets: keeping the settings under a name, and deleting them.

import { html } from "lit-html";
import { action } from "../../parts/action.js";
import { confirm, openDialog } from "../../parts/dialog.js";
import { textField } from "../../parts/fields.js";
import { plural, setting } from "../../parts/format.js";
import { toast } from "../../frame/toasts.js";
import { del, path, put } from "../../state/api.js";
import { labelOf } from "./words.js";

/** Ask for a name and keep `settings` under it; resolves with the preset, undefined where nothing was kept. */
export async function keepPreset(settings, { type, presets, name: begun = "" }) {
  const wish = { name: begun, description: presets.find(({ name }) => name === begun)?.description ?? "" };
  const keep = async () => {
    const name = wish.name.trim();
    const there = presets.find((preset) => preset.name === name && !preset.built_in);
    if (there && name !== begun && !(await confirm({ title: `Replace ${name}?`, text: "One of your presets has that name already.", yes: "Replace it" }))) return;
    const { preset } = await put(path`/api/presets/${name}`, { description: wish.description.trim(), values: { ...settings, training_type: type } });
    toast(`${name} is kept`);
    dialog.close(preset);
  };
  const submit = action(keep, { failed: "The preset was not kept" });
  const dialog = openDialog({
    title: "Keep these settings",
    body: () => html`
      <form class="stack" id="preset-form" @submit=${submit}>
        ${textField({ name: "preset-name", label: "Name", value: wish.name, hint: "Model and dataset are chosen anew each time.", change: (name) => {
          wish.name = name;
          dialog.draw();
        } })}
        ${textField({ name: "preset-description", label: "Description", value: wish.description, hint: "What they are good for", change: (text) => (wish.description = text) })}
        ${listed(settings)}
      </form>`,
    actions: ({ close }) => html`<button class="button" @click=${() => close()}>Cancel</button>
      <button class="button primary" type="submit" form="preset-form" ?disabled=${!wish.name.trim()}>Keep</button>`,
  });
  dialog.element.querySelector("input")?.focus();
  return dialog.closed;
}

function listed(settings) {
  const all = Object.entries(settings);
  if (!all.length) return html`<p class="quiet">All settings are at their defaults.</p>`;
  return html`<details><summary>${plural(all.length, "setting")}</summary>
    <dl class="train-settings">${all.map(([name, value]) => html`<div><dt>${labelOf(name)}</dt><dd>${setting(value)}</dd></div>`)}</dl></details>`;
}

/** Delete one's own after asking; `true` once it is gone. */
export async function deletePreset(name) {
  if (!(await confirm({ title: `Delete the preset ${name}?`, text: "Runs that were started with it keep their settings.", yes: "Delete it", tone: "bad" }))) return false;
  await del(path`/api/presets/${name}`);
  toast(`${name} is deleted`);
  return true;
}
