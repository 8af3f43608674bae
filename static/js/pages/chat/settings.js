// How a chat asks: its system prompt, parameters and presets, in a pane beside it.

import { html, nothing } from "lit-html";
import { toast } from "../../frame/toasts.js";
import { action } from "../../parts/action.js";
import { confirm, openDialog } from "../../parts/dialog.js";
import { areaField, numberField, segmented, selectField, textField } from "../../parts/fields.js";
import { icon } from "../../parts/icons.js";
import { del, get, path, put } from "../../state/api.js";
import { Store } from "../../state/store.js";

const MODES = [
  { value: "chat", label: "Conversation", hint: "Each question after all that was said" },
  { value: "complete", label: "Text", hint: "Goes on with your text as it stands, for base models" },
];
// name, label, default, smallest, largest, what it does
const PARAMETERS = [
  ["max_tokens", "Most tokens", 512, 1, 2 ** 53, "Where an answer is cut off", true],
  ["temperature", "Temperature", 0.7, 0, 10, "0 takes the likeliest word each time; 1 is as bold as the model"],
  ["seed", "Seed", null, 0, 2 ** 53, "The same seed repeats the same answer", true],
  ["top_p", "Top p", 1, 0.001, 1, "Only the likeliest words that together have this share"],
  ["top_k", "Top k", 0, 0, 2 ** 53, "Only so many of the likeliest words; 0 for all", true],
  ["min_p", "Min p", 0, 0, 1, "Only words with this share of the likeliest one's probability"],
  ["repetition_penalty", "Repetition penalty", 1, 0.001, 10, "Above 1 avoids words that were there"],
  ["presence_penalty", "Presence penalty", 0, -10, 10, "Above 0 favours new words"],
  ["frequency_penalty", "Frequency penalty", 0, -10, 10, "Above 0 avoids frequent words"],
];

/** So many of them everybody sees. */
const SIMPLE = 3;

/** The presets there are; null before the first answer. */
export const presets = new Store(null);

export async function refreshPresets(signal) {
  presets.set((await get("/api/chats/presets", { signal })).presets);
}

/** The pane. `wish` keeps what was typed and is no number, and which preset was chosen. */
export function settingsPane(conversation, wish, { close, draw }) {
  const { system_prompt: system, mode, parameters } = conversation.settings;
  return html`
    <aside class="chat-settings" aria-label="Settings of this chat">
      <header><h2>Settings</h2><button class="icon-button" aria-label="Close the settings" @click=${close}>${icon("close")}</button></header>
      ${presetRow(conversation, wish, draw)}
      ${segmented({ name: "mode", label: "How the text is taken", value: mode, choices: MODES, change: (value) => conversation.set({ mode: value }) })}
      ${mode === "complete" ? html`<p class="quiet">The model goes on with each of your texts as it stands: no system prompt, nothing of what was said before.</p>`
        : areaField({ name: "system", label: "System prompt", value: system, rows: 5, changed: !!system,
          placeholder: "Who the model is and how it answers", change: (text) => conversation.set({ system_prompt: text }) })}
      <div class="parameters">${PARAMETERS.slice(0, SIMPLE).map((each) => parameter(conversation, wish, { each, draw }))}</div>
      <details class="more-parameters" ?open=${PARAMETERS.slice(SIMPLE).some(([name]) => parameters[name] != null) || parameters.stop?.length}>
        <summary>More parameters</summary>
        <div class="parameters">${PARAMETERS.slice(SIMPLE).map((each) => parameter(conversation, wish, { each, draw }))}${stops(conversation, wish)}</div>
      </details>
      <button class="button small" @click=${() => reset(conversation, wish)}>Back to the defaults</button>
    </aside>`;
}

function parameter(conversation, wish, { each: [name, label, standard, smallest, largest, hint, whole], draw }) {
  const value = conversation.settings.parameters[name] ?? null;
  const typed = wish.typed[name];
  const change = (next) => {
    const bad = next !== null && (typeof next !== "number" || next < smallest || next > largest || (whole && !Number.isInteger(next)));
    wish.typed[name] = bad ? next : undefined;
    if (bad) draw();
    else conversation.set({ parameters: { ...conversation.settings.parameters, [name]: next } });
  };
  const range = largest > 1e6 ? `from ${smallest}` : `from ${smallest} to ${largest}`;
  return numberField({
    name, label, value: typed ?? value, hint, changed: value !== null, change, placeholder: standard === null ? "random" : String(standard),
    problem: typed === undefined ? "" : `A ${whole ? "whole " : ""}number ${range}`,
  });
}

function stops(conversation, wish) {
  const { stop = [] } = conversation.settings.parameters;
  return textField({
    name: "stop", label: "Stop texts", value: wish.stop ?? stop.join(", "), changed: stop.length > 0,
    hint: "End the answer; separated by commas", change: (text) => stopTexts(conversation, wish, text),
  });
}

function stopTexts(conversation, wish, text) {
  wish.stop = text;
  const stop = text.split(",").map((part) => part.trim()).filter(Boolean).slice(0, 16);
  conversation.set({ parameters: { ...conversation.settings.parameters, stop } });
}

function reset(conversation, wish) {
  Object.assign(wish, { typed: {}, stop: undefined, preset: "" });
  conversation.set({ system_prompt: "", mode: "chat", parameters: { stop: [] } });
}

function presetRow(conversation, wish, draw) {
  const all = presets.value ?? [];
  const chosen = all.find(({ name }) => name === wish.preset);
  const choices = [{ value: "", label: "Choose a preset" }, ...all.map(({ name, built_in }) => ({ value: name, label: name, group: built_in ? "Of ForgeLLM" : "Your own" }))];
  return html`
    <div class="preset-row">
      ${selectField({ name: "preset", label: "Preset", value: wish.preset, choices, hint: chosen?.description ?? "", change: (name) => take(conversation, wish, all.find((p) => p.name === name)) })}
      <div class="actions">
        <button class="button small" @click=${() => keep(conversation, wish, draw)}>Save as preset</button>
        ${chosen && !chosen.built_in ? html`<button class="button small" @click=${action(() => forget(chosen, wish, draw))}>Delete preset</button>` : nothing}
      </div>
    </div>`;
}

function take(conversation, wish, preset) {
  Object.assign(wish, { typed: {}, stop: undefined, preset: preset?.name ?? "" });
  if (!preset) return;
  const { system_prompt: system, parameters, mode } = preset.values;
  conversation.set({ parameters, ...(preset.built_in ? {} : { system_prompt: system, mode }) });
}

async function forget({ name }, wish, draw) {
  if (!(await confirm({ title: `Delete the preset ${name}?`, text: "Chats keep their settings.", yes: "Delete it", tone: "bad" }))) return;
  await del(path`/api/chats/presets/${name}`);
  wish.preset = "";
  await refreshPresets();
  draw();
}

async function keep(conversation, wish, draw) {
  const form = { name: wish.preset && !presets.value?.find((p) => p.name === wish.preset)?.built_in ? wish.preset : "" };
  const dialog = openDialog({
    title: "Save as preset",
    body: () => html`
      ${textField({ name: "preset-name", label: "Name", value: form.name, change: (text) => (form.name = text) })}
      <p class="quiet">The system prompt and all parameters of this chat are kept under this name.</p>`,
    actions: ({ close }) => html`
      <button class="button" @click=${() => close()}>Cancel</button>
      <button class="button primary" @click=${action(async () => {
        const { system_prompt, mode, parameters } = conversation.settings;
        await put(path`/api/chats/presets/${form.name.trim()}`, { values: { system_prompt, mode, parameters } });
        close(true);
      }, { failed: "The preset was not saved" })}>Save</button>`,
  });
  if (!(await dialog.closed)) return;
  wish.preset = form.name.trim();
  await refreshPresets();
  toast(`Preset ${wish.preset} saved`);
  draw();
}
