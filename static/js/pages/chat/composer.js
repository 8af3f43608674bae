// Where a message is written: the text, who answers beside, and how much of the context is used.

import { html, nothing } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { toastError } from "../../frame/toasts.js";
import { count } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { meter } from "../../parts/progress.js";
import { resident } from "../../state/health.js";
import { targetOf } from "../../state/target.js";
import { chooseTarget } from "./models.js";
import { targetName } from "./names.js";

const HIGHEST = 240;

const KEY = "forgellm.draft.";

/** What was written and not sent yet, in this tab: it is there again after a look at another page. */
export const draftOf = ({ id }) => sessionStorage.getItem(KEY + (id ?? "")) ?? "";

function keepDraft({ conversation, wish }, text) {
  wish.draft = text;
  const key = KEY + (conversation.id ?? "");
  if (text) sessionStorage.setItem(key, text);
  else sessionStorage.removeItem(key);
}

export const focusComposer = (element) => element.querySelector(".composer textarea")?.focus();

/** The field at the foot of a chat. */
export function composer(desk) {
  const { conversation, wish } = desk;
  const completes = conversation.settings.mode === "complete";
  return html`
    <form class="composer" @submit=${(event) => send(event, desk)}>
      <textarea rows="1" name="message" aria-label="Message" placeholder=${completes ? "A text that the model goes on with" : "Ask something"}
        .value=${live(wish.draft)} @input=${(event) => write(event, desk)} @keydown=${(event) => key(event, desk)}></textarea>
      <div class="composer-foot">
        ${besides(desk)}
        ${context(conversation)}
        ${conversation.answering
          ? html`<button type="button" class="button primary" @click=${() => conversation.stop()}>${icon("stop")}Stop</button>`
          : html`<button class="button primary" ?disabled=${!wish.draft.trim()}>${icon("send")}${completes ? "Go on" : "Send"}</button>`}
      </div>
    </form>`;
}

function write({ target }, desk) {
  keepDraft(desk, target.value);
  grow(target);
  desk.draw();
}

/** As high as its text, up to a limit. */
export function grow(field) {
  field.style.setProperty("height", "auto");
  field.style.setProperty("height", `${Math.min(HIGHEST, field.scrollHeight + 2)}px`);
}

function key(event, desk) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send(event, desk);
}

function send(event, desk) {
  event.preventDefault();
  const { conversation, wish, element } = desk;
  const text = wish.draft;
  if (!text.trim() || conversation.answering) return;
  keepDraft(desk, "");
  element.querySelector(".composer textarea").style.removeProperty("height");
  conversation.ask(text).catch(toastError);
}

/** Who answers beside the resident model. */
function besides(desk) {
  const { conversation } = desk;
  const { beside, other } = conversation.settings;
  const choose = async ({ target: { value } }) => {
    if (value !== "pick" && value !== "other") return conversation.set({ beside: value });
    const target = value === "other" && other ? other : await chooseTarget("Who is to answer beside it?");
    if (target) conversation.set({ beside: "other", other: target, model: conversation.settings.model ?? targetOf(resident.value) });
    desk.draw();
  };
  const hasAdapter = !!resident.value?.adapter_path;
  return html`
    <label class="besides"><span class="unseen">Answers</span>
      <select name="beside" @change=${choose}>
        <option value="none" .selected=${live(beside === "none")}>One answer</option>
        <option value="base" .selected=${live(beside === "base")} ?disabled=${!hasAdapter && beside !== "base"}>Base beside the adapter</option>
        ${other ? html`<option value="other" .selected=${live(beside === "other")}>Beside ${targetName(other)}</option>` : nothing}
        <option value="pick">Beside another model …</option>
      </select></label>
    ${beside === "base" && !hasAdapter ? html`<small class="quiet">The resident model has no adapter</small>` : nothing}`;
}

function context(conversation) {
  const facts = conversation.measured?.facts;
  const length = resident.value?.context_length ?? facts?.context_length;
  if (!facts || !length) return html`<span class="context"></span>`;
  const used = facts.prompt_tokens + (facts.tokens_generated ?? 0);
  const share = used / length;
  return html`
    <span class="context" title="${count(used)} of ${count(length)} tokens of the model's context">
      ${meter({ value: used, max: length, label: "Context used", tone: share > 0.9 ? "bad" : share > 0.75 ? "waiting" : "" })}
      <small>${count(used)} of ${count(length)}</small>
    </span>`;
}
