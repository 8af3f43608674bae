// The command palette: every page, run and command, found by typing a few letters of it.

import { html, render } from "lit-html";
import { icon } from "../parts/icons.js";
import { ago, plural, state, title } from "../parts/format.js";
import { get, path, query } from "../state/api.js";
import { runs } from "../state/runs.js";
import { addSource, asked, offered } from "./commands.js";
import { bind, keycaps } from "./keys.js";
import { go } from "./router.js";

const MOST = 60;
const FIRST = ["This page", "Pages", "The current run"];
const LAST = ["Appearance", "Help"];
let dialog = null;
let found = [];
let words = "";
let chosen = 0;

export function startPalette() {
  bind("mod+k", { title: "Search and commands", group: "General", run: openPalette });
  addSource(() => (runs.value?.runs ?? []).map((run) => ({
    title: title(run),
    hint: `No. ${run.number} · ${state(run)}`,
    more: run.id,
    icon: "runs",
    group: "Runs",
    run: () => go(`/runs/${encodeURIComponent(run.id)}`),
  })));
  addSource(async () => (await get("/api/chats")).chats.map(({ id, title: name, updated }) => ({
    title: name || "Chat", hint: ago(updated), icon: "chat", group: "Chats", run: () => go(`/chat/${id}`),
  })));
  addSource(async () => (await get("/api/dataset/info")).datasets.map(({ name, file_count: files }) => ({
    title: name, hint: plural(files, "file"), icon: "data", group: "Datasets", run: () => go(path`/data/${name}`),
  })));
  addSource(async () => (await get("/api/models")).published_models.map(({ name, path: place, created_at: created }) => ({
    title: name, hint: ago(created), icon: "model", group: "Published models", run: () => go(query("/models", { model: `models/${place}` })),
  })));
}

export async function openPalette() {
  if (dialog?.open) return dialog.close();
  dialog ??= makeDialog();
  [words, chosen, found] = ["", 0, offered()];
  draw();
  dialog.showModal();
  dialog.querySelector("input").value = "";
  for (const answer of asked()) {
    const more = await answer;
    found = [...found, ...more];
    draw();
  }
}

function makeDialog() {
  const made = document.createElement("dialog");
  made.className = "palette";
  made.setAttribute("aria-label", "Search and commands");
  made.addEventListener("click", (event) => event.target === made && made.close());
  document.body.append(made);
  return made;
}

function draw() {
  const listed = matching();
  chosen = Math.min(chosen, Math.max(0, listed.length - 1));
  render(content(listed), dialog);
  dialog.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
}

const content = (listed) => html`
  <div class="palette-field">
    ${icon("search")}
    <input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" autocomplete="off"
      aria-label="Search for whatever there is" placeholder="Search for pages, runs, datasets and commands"
      aria-activedescendant=${listed.length ? `palette-${chosen}` : ""} spellcheck="false"
      @input=${(event) => type(event.target.value)} @keydown=${(event) => move(event, listed)}>
    <kbd>Esc</kbd>
  </div>
  <div id="palette-list" role="listbox" aria-label="What was found">
    ${listed.map((command, place) => html`
      ${command.group === listed[place - 1]?.group ? "" : html`<p class="palette-group" role="presentation">${command.group}</p>`}
      <div class="palette-item" role="option" id="palette-${place}" aria-selected=${place === chosen}
        @pointermove=${() => point(place)} @click=${() => take(command)}>
        ${icon(command.icon ?? "command")}<span>${command.title}</span>
        <small>${command.hint ?? ""}</small>${command.keys ? html`<i aria-hidden="true">${keycaps(command.keys)}</i>` : ""}
      </div>`)}
    ${listed.length ? "" : html`<p class="palette-none">Nothing is called so.</p>`}
  </div>`;

/** Everything in which the words occur; what begins with them comes first, groups stay together. */
function matching() {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  const scored = found.flatMap((command) => {
    const text = `${command.title} ${command.hint ?? ""} ${command.more ?? ""} ${command.group}`.toLowerCase();
    if (!parts.every((part) => text.includes(part))) return [];
    const title = command.title.toLowerCase();
    return [{ command, score: parts.filter((part) => title.startsWith(part) || title.includes(` ${part}`)).length }];
  });
  const best = new Map();
  for (const { command, score } of scored) best.set(command.group, Math.max(score, best.get(command.group) ?? 0));
  const groups = [...best.keys()].sort((a, b) => best.get(b) - best.get(a) || rank(a) - rank(b));
  const order = (entry) => groups.indexOf(entry.command.group);
  return scored.sort((a, b) => order(a) - order(b) || b.score - a.score).slice(0, MOST).map(({ command }) => command);
}

/** The order of groups that fit equally well. */
function rank(group) {
  const first = FIRST.indexOf(group);
  return first >= 0 ? first - FIRST.length : LAST.indexOf(group) + 1;
}

function type(text) {
  [words, chosen] = [text, 0];
  draw();
}

function point(place) {
  if (place === chosen) return;
  chosen = place;
  draw();
}

function move(event, listed) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Enter" && listed[chosen]) take(listed[chosen]);
  else if (step) chosen = (chosen + step + listed.length) % Math.max(1, listed.length);
  else return;
  event.preventDefault();
  draw();
}

function take(command) {
  dialog.close();
  command.run();
}
