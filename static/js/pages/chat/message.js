// One turn of a chat: a question, or an answer with those beside it, and what can be done with them.

import { html, nothing } from "lit-html";
import { guard } from "lit-html/directives/guard.js";
import { action, copying } from "../../parts/action.js";
import { statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { skeleton } from "../../parts/progress.js";
import { prose } from "../../parts/prose.js";
import { answererName, figuresOf, fillsContext } from "./names.js";
import { shownMarkdown } from "./text.js";

/**
 * A message of the branch that is shown. `desk` has the conversation and what the page does: `edit`, `editing`,
 * `finishEdit`, `saveExample`, `chooseModel`. Drawn anew only when something of it has changed.
 */
export function turn(message, desk, last) {
  const { conversation } = desk;
  const other = message.role === "assistant" ? conversation.beside(message) : null;
  const branches = conversation.branches(message);
  const known = [
    message, message.version, other, other?.version, branches.length, branches.indexOf(message), desk.editing === message.id,
    conversation.failures.get(message.id), conversation.answering, last,
  ];
  return guard(known, () => (message.role === "user"
    ? question(message, { desk, branches, last })
    : html`<div class="answers ${other ? "pair" : ""}">
        ${answer(message, { desk, branches, last })}${other ? answer(other, { desk, branches: [], last }) : nothing}
      </div>`));
}

const question = (message, { desk, branches, last }) => html`
  <article class="turn question" aria-label="You">
    ${desk.editing === message.id ? editor(message, desk) : html`
      <div class="bubble">${message.content}</div>
      <div class="turn-tools ${branches.length > 1 ? "stays" : ""}">
        ${switcher(message, branches, desk)}
        ${tool("copy", "Copy", copying(message.content))}
        ${tool("edit", "Edit and ask again", () => desk.edit(message), desk.conversation.answering)}
      </div>`}
    ${unanswered(message, desk, last)}
  </article>`;

/** Why there is no answer, and the way on. */
function unanswered(message, desk, last) {
  const error = desk.conversation.failures.get(message.id);
  const again = html`<button class="button small" @click=${action(() => desk.conversation.again(message))}>${icon("refresh")}Ask again</button>`;
  if (error) {
    return html`
      <div class="notice" data-tone="bad" role="alert">
        ${icon("warning")}
        <div>
          <h2>There is no answer</h2>
          <p>${prose(statement(error.message))} ${prose(error.suggestion ?? "")}</p>
          <div class="actions">${again}${error.code === "MODEL_NOT_LOADED"
            ? html`<button class="button small" @click=${desk.chooseModel}>Choose a model</button>` : nothing}</div>
        </div>
      </div>`;
  }
  return last && !desk.conversation.answering ? html`<div class="unanswered quiet">Nothing was answered. ${again}</div>` : nothing;
}

function answer(message, { desk, branches, last }) {
  const { growing, content, thinking } = message;
  return html`
    <article class="turn answer" aria-label="Answer of ${answererName(message)}" aria-busy=${growing ? "true" : "false"}>
      <header>${icon("model")}<b>${answererName(message)}</b>${message.facts.use_adapter === false ? html` <span class="quiet">without adapter</span>` : nothing}</header>
      ${thinking ? thoughts(message) : nothing}
      ${desk.editing === message.id ? editor(message, desk) : html`<div class="answer-text" ${shownMarkdown(content)}></div>`}
      ${growing && !content && !thinking ? html`<div class="waiting">${skeleton(2)}</div>` : nothing}
      ${growing ? html`<span class="unseen" role="status">Answering</span>` : nothing}
      <footer class="turn-tools">${growing ? nothing : tools(message, { desk, branches, last })}</footer>
    </article>`;
}

const thoughts = ({ thinking, content, growing, facts }) => html`
  <details class="thoughts" ?open=${growing && !content}>
    <summary>${growing && !content ? "Thinking …" : "Thoughts"}${facts.tokens_generated == null ? nothing : html` <small class="quiet">${thinking.length.toLocaleString("en")} characters</small>`}</summary>
    <div>${thinking.trim()}</div>
  </details>`;

function tools(message, { desk, branches, last }) {
  const { conversation } = desk;
  const cut = last && ["length", "cancelled"].includes(message.facts.finish_reason) && message.content && !fillsContext(message);
  return html`
    ${switcher(message, branches, desk)}
    ${tool("copy", "Copy the answer", copying(message.content, "Answer copied"))}
    ${tool("refresh", "Answer again", action(() => conversation.again(message)), conversation.answering)}
    ${cut ? html`<button class="button small" ?disabled=${conversation.answering} @click=${action(() => conversation.goOn(message))}>${icon("play")}Continue</button>` : nothing}
    ${tool("edit", "Write it better", () => desk.edit(message), conversation.answering)}
    ${tool("star", "Save as a training example", () => desk.saveExample(message))}
    <span class="turn-figures">${figuresOf(message)}</span>`;
}

const tool = (name, label, run, disabled = false) => html`
  <button class="icon-button" aria-label=${label} title=${label} ?disabled=${disabled} @click=${run}>${icon(name)}</button>`;

/** From one branch to the next: `2 / 3`. */
function switcher(message, branches, desk) {
  if (branches.length < 2) return nothing;
  const here = branches.indexOf(message);
  const step = (by, name, label) => html`
    <button class="icon-button" aria-label=${label} ?disabled=${!branches[here + by] || desk.conversation.answering}
      @click=${() => desk.conversation.show(branches[here + by])}>${icon(name)}</button>`;
  return html`<span class="switcher" role="group" aria-label="Branches">
    ${step(-1, "left", "Branch before")}<span>${here + 1} / ${branches.length}</span>${step(1, "right", "Next branch")}</span>`;
}

function editor(message, desk) {
  const take = (event) => desk.finishEdit(message, event.currentTarget.closest(".editor").querySelector("textarea").value);
  const key = (event) => {
    if (event.key === "Escape") desk.edit(null);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) take(event);
  };
  return html`
    <div class="editor">
      <textarea aria-label="Text of the message" rows=${Math.min(20, message.content.split("\n").length + 2)} .value=${message.content} @keydown=${key}></textarea>
      <div class="actions">
        <button class="button small primary" @click=${take}>${message.role === "user" ? "Ask this" : "Keep this answer"}</button>
        <button class="button small" @click=${() => desk.edit(null)}>Cancel</button>
        <small class="quiet">What was there stays, on a branch of its own.</small>
      </div>
    </div>`;
}
