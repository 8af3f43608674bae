// Asking the resident model: the chats beside it, one of them in the middle, its settings on the other side.

import { html, nothing, render } from "lit-html";
import { bind } from "../frame/keys.js";
import { go, setQuery } from "../frame/router.js";
import { toast, toastError } from "../frame/toasts.js";
import { addCommand } from "../frame/commands.js";
import { action } from "../parts/action.js";
import { openDialog } from "../parts/dialog.js";
import { textField } from "../parts/fields.js";
import { icon } from "../parts/icons.js";
import { menu } from "../parts/menu.js";
import { openConversation } from "../state/conversation.js";
import { health, resident } from "../state/health.js";
import { watch } from "../state/store.js";
import { isTarget, targetOf } from "../state/target.js";
import { composer, draftOf, focusComposer, grow } from "./chat/composer.js";
import { saveExample } from "./chat/example.js";
import { chatList, chats, deleteChat, exportChat, refreshChats } from "./chat/list.js";
import { chooseTarget, loadTarget } from "./chat/models.js";
import { targetName } from "./chat/names.js";
import { presets, refreshPresets, settingsPane } from "./chat/settings.js";
import { modelState } from "./chat/state.js";
import { Thread } from "./chat/thread.js";

const PANES = "forgellm.chat.panes";

export async function open({ element, params, query, signal, title }) {
  const conversation = await openConversation(params.id, signal);
  const desk = makeDesk(conversation, { element, signal });
  element.classList.add("chat-page");
  const thread = new Thread(desk, signal);
  desk.draw = watch([conversation.changed, resident, health, chats, presets], () => {
    render(page(desk, thread), element);
    thread.draw();
    title(conversation.title || "New chat");
  }, signal);
  listen(desk, signal);
  Promise.all([refreshChats(signal), refreshPresets(signal)]).catch(toastError);
  const named = query.get("model");
  if (named) bringUp(named, desk).catch((error) => toastError(error, "The model was not loaded"));
  // The router puts the focus on the heading; whoever begins a chat wants to write.
  setTimeout(() => {
    if (desk.wish.draft) grow(element.querySelector(".composer textarea"));
    if (!params.id) focusComposer(element);
  }, 0);
}

/** What the page knows and does, for the pieces it consists of. */
function makeDesk(conversation, { element, signal }) {
  const panes = { settings: false, list: true, ...JSON.parse(localStorage.getItem(PANES) ?? "{}") };
  const desk = {
    conversation, element, panes, editing: null, draw: () => {},
    wish: { typed: {}, preset: "", stop: undefined, draft: draftOf(conversation) },
    edit(message) {
      desk.editing = message?.id ?? null;
      desk.draw();
      if (message) requestAnimationFrame(() => element.querySelector(".editor textarea")?.focus());
    },
    finishEdit: (message, text) => {
      desk.edit(null);
      if (text.trim()) conversation.edit(message, text).catch(toastError);
    },
    saveExample: (message) => saveExample(conversation, message).catch(toastError),
    chooseModel: () => chooseModel(desk).catch((error) => toastError(error, "The model was not loaded")),
    toggle(name, value = !panes[name]) {
      panes[name] = value;
      localStorage.setItem(PANES, JSON.stringify(panes));
      desk.draw();
    },
  };
  conversation.unsaved = (error) => toastError(error, "The chat could not be saved");
  conversation.named = ({ id }) => {
    // A new chat has its address from now on; the page stays as it is.
    if (!signal.aborted) history.replaceState(history.state, "", `/chat/${id}`);
    refreshChats().catch(toastError);
  };
  return desk;
}

async function chooseModel({ conversation }) {
  const target = await chooseTarget("Who is to answer?");
  if (!target || !(await loadTarget(target))) return;
  conversation.set({ model: target });
}

/** A link names who is to answer: a model, a run or `run@iteration`. */
async function bringUp(name, { conversation }) {
  if (!(await loadTarget({ model_name: name }))) return;
  setQuery({ model: null });
  conversation.set({ model: targetOf(resident.value) });
}

function listen(desk, signal) {
  const { element, conversation } = desk;
  bind("/", { title: "Search the chats", run: () => (desk.toggle("list", true), requestAnimationFrame(() => element.querySelector("input[name=chats]")?.focus())) }, signal);
  bind("n", { title: "New chat", run: () => go("/chat") }, signal);
  bind("i", { title: "Write a message", run: () => focusComposer(element) }, signal);
  bind("m", { title: "Choose who answers", run: () => desk.chooseModel() }, signal);
  bind("s", { title: "Settings of the chat", run: () => desk.toggle("settings") }, signal);
  addCommand({ title: "New chat", icon: "plus", group: "This page", keys: "n", run: () => go("/chat") }, signal);
  addCommand({ title: "Choose who answers", icon: "model", group: "This page", keys: "m", run: () => desk.chooseModel() }, signal);
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && conversation.answering && !event.defaultPrevented) conversation.stop();
  }, { signal });
  addEventListener("pagehide", () => conversation.lastWords(), { signal });
  addEventListener("focus", () => lookAgain(desk), { signal });
}

/** Another tab may have gone on with this chat, or deleted it. */
async function lookAgain(desk) {
  const { conversation } = desk;
  try {
    await conversation.catchUp();
    await refreshChats();
  } catch (error) {
    if (error.code === "CHAT_NOT_FOUND" && desk.gone !== conversation.id) {
      desk.gone = conversation.id;
      toast("This chat was deleted", { tone: "quiet", detail: "What is shown here is kept as a new chat with your next message." });
    } else if (!error.expected) throw error;
  }
}

function page(desk, thread) {
  const { conversation, panes } = desk;
  return html`
    <div class="chat ${panes.list ? "with-list" : ""} ${panes.settings ? "with-settings" : ""}">
      ${panes.list ? chatList(conversation.id, { draw: desk.draw, close: () => desk.toggle("list", false) }) : nothing}
      <section class="chat-main" aria-label="Chat">
        ${head(desk)}
        ${thread.element}
        <div class="chat-foot">${thread.jump()}${modelState(desk)}${composer(desk)}</div>
      </section>
      ${panes.settings ? settingsPane(conversation, desk.wish, { close: () => desk.toggle("settings", false), draw: desk.draw }) : nothing}
    </div>`;
}

function head(desk) {
  const { conversation, panes } = desk;
  return html`
    <header class="chat-head">
      ${panes.list ? nothing : html`<button class="icon-button" aria-label="Show the chats" title="Chats" @click=${() => desk.toggle("list", true)}>${icon("chat")}</button>`}
      <h1 title=${conversation.title}>${conversation.title || "New chat"}</h1>
      ${otherModel(desk)}
      <button class="button chat-model" @click=${desk.chooseModel} title="Choose who answers">
        ${icon("model")}<span>${targetName(targetOf(resident.value)) || "Choose a model"}</span>${icon("down")}
      </button>
      <button class="icon-button" aria-label="Settings of the chat" title="Settings" aria-pressed=${panes.settings ? "true" : "false"} @click=${() => desk.toggle("settings")}>${icon("settings")}</button>
      ${conversation.id ? menu({ label: "This chat", items: items(desk) }) : nothing}
    </header>`;
}

/** The chat was with another model than the one that is resident: one click brings it back. */
function otherModel({ conversation }) {
  const { model, beside } = conversation.settings;
  const status = resident.value;
  if (!model || !status || status.is_loading || beside === "other" || isTarget(model, status)) return nothing;
  return html`<button class="button small chat-back" title="Load ${targetName(model)}" @click=${action(() => loadTarget(model), { failed: "The model was not loaded" })}>
    ${icon("refresh")}<span>Back to ${targetName(model)}</span></button>`;
}

const kept = new WeakMap();

/** The same array each time: a menu stays open while the page is drawn. */
function items(desk) {
  const { conversation } = desk;
  if (!kept.has(desk)) {
    kept.set(desk, [
      { label: "Rename", icon: "edit", run: () => rename(desk) },
      { label: "Export", icon: "download", run: action(() => exportChat(conversation), { failed: "The chat was not exported" }) },
      { label: "Delete", icon: "trash", tone: "bad", run: action(() => deleteChat(conversation, conversation.id)) },
    ]);
  }
  return kept.get(desk);
}

async function rename({ conversation }) {
  const form = { title: conversation.title };
  const dialog = openDialog({
    title: "Rename the chat",
    body: ({ close }) => html`<form @submit=${(event) => (event.preventDefault(), close(true))}>
      ${textField({ name: "chat-title", label: "Title", value: form.title, change: (text) => (form.title = text) })}</form>`,
    actions: ({ close }) => html`
      <button class="button" @click=${() => close()}>Cancel</button>
      <button class="button primary" @click=${() => close(true)}>Rename</button>`,
  });
  dialog.element.querySelector("input")?.select();
  if (!(await dialog.closed) || !form.title.trim()) return;
  await conversation.rename(form.title.trim().slice(0, 200));
  await refreshChats();
  toast("Chat renamed", { tone: "quiet" });
}
