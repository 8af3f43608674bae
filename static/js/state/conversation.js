// One chat: its messages, what is being answered, and keeping both on the server. How it is shown is not known here.

import { streamAnswer } from "./answers.js";
import { get, patch, path, post } from "./api.js";
import { resident } from "./health.js";
import { MessageTree } from "./message_tree.js";
import { Store } from "./store.js";
import { isTarget, makeResident, targetOf } from "./target.js";

const FIGURES = ["finish_reason", "prompt_tokens", "cached_tokens", "tokens_generated", "time_to_first_token_seconds",
  "generation_time_seconds", "tokens_per_second"];
const LONGEST_TITLE = 80;
// What a browser still sends when its page is closed.
const LAST_WORDS = 60_000;

/** Chats that are being answered: they go on when their page is left. */
const going = new Map();

export const SETTINGS = Object.freeze({
  system_prompt: "", mode: "chat", parameters: Object.freeze({ stop: [] }), beside: "none", other: null, model: null,
});

/** The chat with that id, or a new one without. Raises Refused where there is none. */
export async function openConversation(id, signal) {
  if (!id) return new Conversation();
  if (going.has(id)) return going.get(id);
  const { chat } = await get(path`/api/chats/${id}`, { signal });
  return new Conversation(chat);
}

export class Conversation {
  /** Counts up with everything that changes. */
  changed = new Store(0);
  /** What could not be answered: the id of the question → its error. */
  failures = new Map();
  /** Called with what could not be kept on the server. */
  unsaved = () => {};
  /** Called when the chat got its id, or another one. */
  named = () => {};
  #tree = new MessageTree();
  #stopping = null;
  #saving = Promise.resolve();
  #settingsTimer = null;

  constructor(chat = {}) {
    this.id = chat.id ?? null;
    this.title = chat.title ?? "";
    this.settings = { ...SETTINGS, ...chat.settings };
    this.leaf = chat.leaf ?? null;
    for (const message of chat.messages ?? []) this.#tree.put(message);
  }

  /** The messages of the branch that is shown. */
  get path() {
    return this.#tree.path(this.leaf);
  }

  get answering() {
    return this.#stopping !== null;
  }

  branches(message) {
    return this.#tree.branches(message);
  }

  beside(message) {
    return this.#tree.beside(message);
  }

  /** The last answer of the branch whose figures are known. */
  get measured() {
    return this.path.findLast(({ facts }) => facts?.prompt_tokens != null) ?? null;
  }

  /** Ask `text` after what is shown; a question that got no answer makes room for it. */
  async ask(text) {
    const last = this.#tree.get(this.leaf);
    await this.#question(text, last?.role === "user" ? last.parent : this.leaf);
  }

  /** Ask a question in other words, on a branch of its own. */
  async edit(message, text) {
    if (message.role === "user") return this.#question(text, message.parent);
    const written = made({ role: "assistant", parent: message.parent, content: text, facts: { ...message.facts, edited: true } });
    this.#put(written);
    return this.#save([written]);
  }

  /** Another answer to the question of `message`, which is a question or an answer. */
  async again(message) {
    await this.#answer(message.role === "user" ? message : this.#tree.get(message.parent));
  }

  /** Let an answer that was cut off go on. */
  async goOn(answer) {
    const question = this.#tree.get(answer.parent);
    const wish = this.#wish(question, { second: !!answer.beside, useAdapter: answer.facts.use_adapter ?? true });
    if (wish.is_base_model) wish.prompt += answer.content;
    else wish.answer_so_far = answer.content;
    await this.#whileAnswering(async (signal) => {
      const growing = { ...answer, facts: { ...answer.facts }, growing: true, version: 0 };
      this.#put(growing, { show: false });
      await this.#grow(growing, wish, signal);
      const before = answer.facts.tokens_generated;
      if (before != null && growing.facts.tokens_generated != null) growing.facts.tokens_generated += before;
      await this.#finish([growing]);
    });
  }

  stop() {
    this.#stopping?.abort();
  }

  /** Take in what was written elsewhere meanwhile, as in another tab. Raises Refused where the chat is no more. */
  async catchUp() {
    await this.#saving;
    if (!this.id || this.answering) return;
    const { chat } = await get(path`/api/chats/${this.id}`);
    // An answer only grows: what is longer here could not be saved yet.
    const news = chat.messages.filter(({ id, content }) => content.length > (this.#tree.get(id)?.content.length ?? -1));
    if (this.answering || !news.length) return;
    for (const message of news) this.#tree.put(message);
    [this.leaf, this.title] = [chat.leaf, chat.title];
    this.#changed();
  }

  /** Show the branch of a message. */
  show(message) {
    this.leaf = this.#tree.end(message.id);
    this.#changed();
    return this.#keep(() => patch(path`/api/chats/${this.id}`, { leaf: this.leaf }));
  }

  rename(title) {
    this.title = title;
    this.#changed();
    return this.#keep(() => patch(path`/api/chats/${this.id}`, { title }));
  }

  /** Change settings; they are kept once nobody types any more. */
  set(values) {
    this.settings = { ...this.settings, ...values };
    this.#changed();
    clearTimeout(this.#settingsTimer);
    if (this.id) this.#settingsTimer = setTimeout(() => this.#keep(() => patch(path`/api/chats/${this.id}`, { settings: this.settings })), 400);
  }

  /** The page is being closed: what was answered so far is sent once more. */
  lastWords() {
    const messages = [...this.#growing()].filter(({ content }) => content).map(kept);
    const body = JSON.stringify({ messages });
    if (!this.id || !messages.length || body.length > LAST_WORDS) return;
    const headers = { "Content-Type": "application/json", "X-Forge-Request": "1" };
    fetch(path`/api/chats/${this.id}/messages`, { method: "POST", headers, body, keepalive: true });
  }

  async #question(text, parent) {
    const question = made({ role: "user", parent, content: text });
    this.#put(question);
    await this.#save([question]);
    await this.#answer(question);
  }

  async #answer(question) {
    this.failures.delete(question.id);
    await this.#whileAnswering(async (signal) => {
      const slots = this.#slots();
      const answers = slots.map(({ useAdapter }) => ({
        ...made({ role: "assistant", parent: question.id, facts: this.#facts(useAdapter) }), growing: true, version: 0,
      }));
      answers.slice(1).forEach((answer) => (answer.beside = answers[0].id));
      answers.toReversed().forEach((answer) => this.#put(answer));
      const one = (slot) => this.#grow(answers[slot], this.#wish(question, { second: slot > 0, ...slots[slot] }), signal, slots[slot].target);
      if (slots.some(({ target }) => target)) for (const slot of inOrder(slots)) await one(slot);
      else await Promise.all(slots.map((_, slot) => one(slot)));
      await this.#finish(answers, question);
    });
  }

  /** Who answers: the resident model alone, with its base beside it, or two models one after the other. */
  #slots() {
    const { beside, other, model } = this.settings;
    if (beside === "base" && resident.value?.adapter_path) return [{ useAdapter: true }, { useAdapter: false }];
    if (beside !== "other" || !other) return [{ useAdapter: true }];
    const first = model ?? targetOf(resident.value);
    return [first, other].map((target) => ({ target, useAdapter: true }));
  }

  #wish(question, { second, useAdapter }) {
    const { system_prompt: system, mode, parameters } = this.settings;
    const given = Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined));
    const wish = { ...given, prompt: question.content, use_adapter: useAdapter };
    if (mode === "complete") return { ...wish, is_base_model: true };
    const before = this.#tree.path(question.parent).map((m) => (second && this.beside(m)) || m);
    const history = before.filter(({ content }) => content).map(({ role, content }) => ({ role, content }));
    return { ...wish, history, ...(system.trim() ? { system_prompt: system } : {}) };
  }

  /** Have `answer` grow until it is whole, was stopped, or failed. */
  async #grow(answer, wish, signal, target = null) {
    const begun = performance.now();
    let first = null;
    const piece = ({ text, thinking }) => {
      first ??= (performance.now() - begun) / 1000;
      answer.content += text;
      answer.thinking += thinking;
      answer.version += 1;
      this.#changed();
    };
    try {
      if (signal.aborted) return;
      if (target) await makeResident(target, signal);
      Object.assign(answer.facts, target ?? {});
      const figures = await streamAnswer(wish, { piece, signal });
      for (const name of FIGURES) answer.facts[name] = figures[name];
      if (!answer.facts.model_name) await this.#tellWho(answer.facts);
    } catch (error) {
      if (!signal.aborted) answer.error = error;
      Object.assign(answer.facts, { finish_reason: "cancelled", time_to_first_token_seconds: first });
    } finally {
      answer.facts.context_length = resident.value?.context_length ?? null;
      answer.growing = false;
      answer.version += 1;
      this.#changed();
    }
  }

  /** Keep what was answered; an answer without a word is none. */
  async #finish(answers, question = null) {
    const good = answers.filter(({ content, thinking, error, facts }) => content || thinking || (!error && facts.finish_reason !== "cancelled"));
    for (const answer of answers) if (!good.includes(answer)) this.#tree.drop(answer);
    const failed = answers.find(({ error }) => error);
    if (failed) this.failures.set(failed.parent, failed.error);
    for (const answer of good) if (!this.#tree.get(answer.beside)) answer.beside = null;
    if (question && !this.#tree.get(this.leaf)) this.leaf = good[0]?.id ?? question.id;
    this.#changed();
    if (good.length) await this.#save(good);
  }

  async #whileAnswering(run) {
    if (this.#stopping) return;
    this.#stopping = new AbortController();
    if (this.id) going.set(this.id, this);
    this.#changed();
    try {
      await run(this.#stopping.signal);
    } finally {
      this.#stopping = null;
      going.delete(this.id);
      this.#changed();
    }
  }

  /** What answered was not known yet when it was asked: it was being loaded. */
  async #tellWho(facts) {
    await resident.refresh();
    Object.assign(facts, targetOf(resident.value) ?? {});
  }

  *#growing() {
    for (const message of this.path) for (const each of [message, this.beside(message)]) if (each?.growing) yield each;
  }

  #facts(useAdapter) {
    const { model_name, adapter_path, training_id, iteration } = resident.value ?? {};
    const { parameters, system_prompt } = this.settings;
    return {
      model_name: model_name ?? null, adapter_path: adapter_path ?? null, training_id: training_id ?? null,
      iteration: iteration ?? null, use_adapter: useAdapter, parameters: { ...parameters },
      system_prompt: system_prompt || null,
    };
  }

  #put(message, { show = true } = {}) {
    this.#tree.put(message);
    if (show) this.leaf = message.id;
    this.#changed();
  }

  #save(messages) {
    return this.#keep(async () => {
      if (!this.id) return this.#create(messages);
      return post(path`/api/chats/${this.id}/messages`, { messages: messages.map(kept), leaf: this.leaf }).catch((error) => {
        if (error.code !== "CHAT_NOT_FOUND") throw error;
        // Deleted meanwhile, as in another tab: what is shown here begins a chat of its own.
        return this.#create([...new Set([...this.path, ...messages])]);
      });
    });
  }

  async #create(messages) {
    this.title ||= messages[0].content.trim().split("\n")[0].slice(0, LONGEST_TITLE);
    const { chat } = await post("/api/chats", { title: this.title, settings: this.settings, messages: messages.map(kept) });
    going.delete(this.id);
    this.id = chat.id;
    if (this.#stopping) going.set(this.id, this);
    this.named(chat);
  }

  /** One after the other, so that nothing overtakes; what fails is told and not lost from the page. */
  #keep(write) {
    this.#saving = this.#saving.then(write).catch((error) => this.unsaved(error));
    return this.#saving;
  }

  #changed() {
    this.changed.set(this.changed.value + 1);
  }
}

/** A model that is loaded already answers first. */
function inOrder(slots) {
  return slots.length > 1 && isTarget(slots[1].target, resident.value) ? [1, 0] : slots.map((_, slot) => slot);
}

function made({ role, parent, content = "", facts = {} }) {
  const random = crypto.getRandomValues(new Uint8Array(12));
  const id = `m${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  return { id, parent, role, content, thinking: "", beside: null, created: new Date().toISOString(), facts };
}

/** A message as the server keeps it. */
const kept = ({ id, parent, role, content, thinking, beside, created, facts }) =>
  ({ id, parent, role, content, thinking, beside, created, facts });
