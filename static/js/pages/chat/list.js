// The chats of the workspace: searching, opening, deleting, taking them out and in.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { toast, toastError } from "../../frame/toasts.js";
import { go } from "../../frame/router.js";
import { action, save } from "../../parts/action.js";
import { searchField } from "../../parts/fields.js";
import { ago, moment, plural } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { menu } from "../../parts/menu.js";
import { skeleton } from "../../parts/progress.js";
import { del, get, path, post, query } from "../../state/api.js";
import { Store } from "../../state/store.js";

const PAUSE = 200;
// The server takes a megabyte at once.
const PORTION = 600_000;

/** `{words, chats, more}`; null before the first answer. */
export const chats = new Store(null);

let words = "";
let typing = null;
let asked = 0;

export async function refreshChats(signal) {
  const mine = (asked += 1);
  const found = await get(query("/api/chats", { q: words || null }), { signal });
  if (mine === asked) chats.set({ words, chats: found.chats, more: found.more });
}

function search(text, draw) {
  words = text;
  draw();
  clearTimeout(typing);
  typing = setTimeout(() => refreshChats().catch(toastError), PAUSE);
}

const MENU = [
  { label: "Import chats", icon: "upload", run: () => pickFiles() },
  { label: "Export all chats", icon: "download", run: action(exportAll, { failed: "The chats were not exported" }) },
];

/** The list; `here` is the id of the chat that is shown. */
export const chatList = (here, { draw, close }) => html`
  <nav class="chat-list" aria-label="Chats">
    <header>
      <a class="button primary" href="/chat">${icon("plus")}New chat</a>
      <span class="chat-list-tools">${menu({ label: "All chats", items: MENU })}
        <button class="icon-button chat-list-close" aria-label="Close the list" @click=${close}>${icon("close")}</button></span>
    </header>
    ${searchField({ name: "chats", label: "Search chats", value: words, change: (text) => search(text, draw) })}
    ${!chats.value ? skeleton(6) : entries(here)}
  </nav>`;

function entries(here) {
  const { chats: list, more, words: sought } = chats.value;
  if (!list.length) return html`<p class="quiet chat-none">${sought ? "No chat has these words." : "Your chats are kept here, in the workspace."}</p>`;
  return html`
    <ul>${repeat(list, ({ id }) => id, (chat) => html`
      <li class="chat-entry" aria-current=${chat.id === here ? "true" : "false"}>
        <a href="/chat/${chat.id}" title=${chat.title || "Chat"}><b>${chat.title || "Chat"}</b>
          <small title=${moment(chat.updated)}>${chat.excerpt || ago(chat.updated)}</small></a>
        <button class="icon-button" aria-label="Delete ${chat.title || "this chat"}" @click=${action(() => deleteChat(chat, here))}>${icon("trash")}</button>
      </li>`)}
    </ul>
    ${more ? html`<p class="quiet chat-none">Search to find older ones.</p>` : nothing}`;
}

/** Put a chat into the trash, with a way back. */
export async function deleteChat({ id, title }, here) {
  await del(path`/api/chats/${id}`);
  const undo = action(async () => {
    await post(path`/api/chats/${id}/restore`);
    await refreshChats();
  });
  toast("Chat deleted", { detail: title, action: { label: "Undo", run: undo } });
  await refreshChats();
  if (id === here) go("/chat");
}

async function exportAll() {
  const { format, chats: all } = await get("/api/chats/export", { patience: 0 });
  if (!all.length) return toast("There are no chats to export", { tone: "quiet" });
  save(JSON.stringify({ format, chats: all }, null, 1), `chats ${new Date().toISOString().slice(0, 10)}.json`, "application/json");
  return toast(`${plural(all.length, "chat")} exported`);
}

/** Save one chat as a file. */
export async function exportChat({ id, title }) {
  const { chat } = await get(path`/api/chats/${id}`);
  const name = title.replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 60) || "chat";
  save(JSON.stringify({ format: "forgellm chats 1", chats: [chat] }, null, 1), `${name}.json`, "application/json");
}

function pickFiles() {
  const input = document.createElement("input");
  Object.assign(input, { type: "file", accept: ".json,application/json", multiple: true });
  input.addEventListener("change", action(() => importFiles([...input.files]), { failed: "The chats were not imported" }));
  input.click();
}

/** Take in the chats of files as they were exported. */
export async function importFiles(files) {
  let number = 0;
  for (const file of files) {
    for (const chat of chatsIn(await file.text(), file.name)) {
      await importChat(chat);
      number += 1;
    }
  }
  await refreshChats();
  toast(`${plural(number, "chat")} imported`);
}

function chatsIn(text, name) {
  const wrong = Object.assign(new Error(`${name} holds no chats`), { expected: true, suggestion: "Choose a file that was exported here." });
  try {
    const found = JSON.parse(text);
    const list = Array.isArray(found.chats) ? found.chats : [found];
    if (!list.every(({ messages }) => Array.isArray(messages))) throw wrong;
    return list;
  } catch {
    throw wrong;
  }
}

async function importChat({ title = "", settings = {}, messages, leaf = null }) {
  const [first = [], ...rest] = portions(messages);
  const { chat } = await post("/api/chats", { title, settings, messages: first, leaf: rest.length ? null : leaf });
  for (const [place, portion] of rest.entries()) {
    await post(path`/api/chats/${chat.id}/messages`, { messages: portion, leaf: place === rest.length - 1 ? leaf : null });
  }
}

/** Messages in as many requests as it takes. */
function portions(messages) {
  const found = [];
  let size = Infinity;
  for (const message of messages) {
    const own = new Blob([JSON.stringify(message)]).size;
    if (size + own > PORTION) {
      found.push([]);
      size = 0;
    }
    found.at(-1).push(message);
    size += own;
  }
  return found;
}
