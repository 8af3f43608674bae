// The settings as a YAML file: to look at, copy and save, and to take from a file or the clipboard.

import { html } from "lit-html";
import { toast } from "../../frame/toasts.js";
import { action, copying, save } from "../../parts/action.js";
import { openDialog } from "../../parts/dialog.js";
import { areaField } from "../../parts/fields.js";
import { icon } from "../../parts/icons.js";
import { post } from "../../state/api.js";

const LARGEST = 100_000;

/** Show `text`, which may be empty; `use(values)` gets the fields of what is taken. */
export function openYaml(text, use) {
  const wish = { text };
  const take = async () => {
    const { values } = await post("/api/training/spec", { yaml: wish.text });
    use(values);
    dialog.close();
    toast("The settings are taken over");
  };
  const read = async ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (!file) return;
    if (file.size > LARGEST) throw Object.assign(new Error("The file is too long for a list of settings"), { expected: true });
    wish.text = await file.text();
    dialog.draw();
  };
  const picked = action(read, { failed: "The file was not read" });
  const choose = () => dialog.element.querySelector("input[type=file]").click();
  const dialog = openDialog({
    title: "Settings as YAML",
    wide: true,
    body: () => html`
      <div class="train-yaml">
        ${areaField({ name: "yaml", label: "One `field: value` a line".replaceAll("`", ""), value: wish.text, rows: 16,
          placeholder: "training_type: cpt\nmodel_name: models/base/NAME\ndataset: NAME",
          hint: "For `forgellm train --config`. Paste other settings over it to use them here.".replaceAll("`", ""),
          change: (next) => (wish.text = next) })}
        <input type="file" accept=".yaml,.yml,.txt" aria-label="A YAML file" hidden @change=${picked}>
      </div>`,
    actions: () => html`
      <button class="button" @click=${choose}>${icon("folder")}Open a file</button>
      <button class="button" @click=${copying(() => wish.text)}>${icon("copy")}Copy</button>
      <button class="button" @click=${() => save(wish.text, "training.yaml", "application/yaml")}>${icon("download")}Save</button>
      <button class="button primary" @click=${action(take, { failed: "The settings were not taken" })}>Use these settings</button>`,
  });
  const area = dialog.element.querySelector("textarea");
  area.setSelectionRange(0, 0);
  area.focus();
  area.scrollTop = 0;
}
