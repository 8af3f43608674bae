// New datasets out of one: with parts to validate on, or in another form. The source stays as it is.

import { html, nothing } from "lit-html";
import { toast } from "../../frame/toasts.js";
import { action } from "../../parts/action.js";
import { openDialog } from "../../parts/dialog.js";
import { areaField, numberField, segmented, textField } from "../../parts/fields.js";
import { count, plural, statement } from "../../parts/format.js";
import { post } from "../../state/api.js";
import { api } from "./addresses.js";

const FORMS = [
  { value: "messages", label: "Conversations", hint: "Rows of any shape as lists of messages" },
  { value: "transcripts", label: "From transcripts", hint: "Documents in which people speak in turn" },
  { value: "utf8", label: "UTF-8", hint: "Texts in other encodings" },
];
const EXPLAINED = {
  messages: "Every usable row is written as a list of messages, in train.jsonl.",
  transcripts: "Documents in which people speak in turn become conversations. How turns begin is recognised (`User:`, `**Assistant**:`, `Q:` …), or said below.",
  utf8: "Every file is written again in UTF-8, which is what all programs read.",
};

/** `made({dataset})` is called with the new one. */
export function split(name, made) {
  const wish = { name: `${name}-split`, valid: 10, heldout: 0, seed: 0 };
  making({
    title: `Split ${name}`,
    wish,
    body: (change) => html`
      <p class="quiet">Rows and documents that are equal, or nearly, stay on one side, so that validation tells the truth.</p>
      ${nameField(wish, change)}
      <div class="columns">
        ${numberField({ name: "valid", label: "Validated on", unit: "%", value: wish.valid, problem: shareProblem(wish), change: (valid) => change({ valid }) })}
        ${numberField({ name: "heldout", label: "Held out, never trained on", unit: "%", value: wish.heldout, change: (heldout) => change({ heldout }) })}
        ${numberField({ name: "seed", label: "Seed", hint: "The same seed draws the same rows.", value: wish.seed, change: (seed) => change({ seed }) })}
      </div>`,
    wrong: () => shareProblem(wish),
    send: (options) => post(api(name, "/split"), { name: wish.name, valid: wish.valid / 100, heldout: (wish.heldout ?? 0) / 100, seed: wish.seed ?? 0 }, options),
    made,
  });
}

function shareProblem({ valid, heldout }) {
  const sum = (valid ?? 0) + (heldout ?? 0);
  return typeof sum === "number" && sum > 0 && sum < 100 && valid >= 0 && heldout >= 0 ? "" : "Together more than 0 and less than 100 %";
}

/** `documents` tells whether there are any: transcripts are made of them. */
export function convert(name, { documents, made }) {
  const wish = { name: `${name}-${documents ? "conversations" : "messages"}`, to: documents ? "transcripts" : "messages", user: "", assistant: "", system: "" };
  making({
    title: `Convert ${name}`,
    wish,
    body: (change) => html`
      ${segmented({ name: "to", label: "Into what", value: wish.to, choices: FORMS, change: (to) => change({ to }) })}
      <p class="quiet">${EXPLAINED[wish.to].replaceAll("`", "")}</p>
      ${nameField(wish, change)}
      ${wish.to === "transcripts" ? patternFields(wish, change) : nothing}`,
    send: (options) => post(api(name, "/convert"), { name: wish.name, to: wish.to, patterns: patterns(wish) }, options),
    made,
  });
}

const patternFields = (wish, change) => html`
  <h3>How turns begin</h3>
  <p class="quiet">Leave all three empty for the usual ways. Otherwise one beginning a line, as it stands in the text.</p>
  <div class="columns">${[["user", "Who asks", "Customer:"], ["assistant", "Who answers", "Support:"], ["system", "What is said about it", ""]].map(([role, label, placeholder]) =>
    areaField({ name: `pattern-${role}`, label, placeholder, rows: 2, value: wish[role], change: (text) => change({ [role]: text }) }))}</div>`;

function patterns(wish) {
  if (wish.to !== "transcripts") return null;
  const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
  const found = ["user", "assistant", "system"].map((role) => [role, lines(wish[role])]).filter(([, all]) => all.length);
  return found.length ? Object.fromEntries(found) : null;
}

const nameField = (wish, change) => textField({
  name: "new_name", label: "Name of the new dataset", value: wish.name, problem: wish.name ? "" : "Give it a name.", change: (name) => change({ name }),
});

/** The dialog; it may be closed while the work is done, which ends the wait and not the work. */
function making({ title, wish, body, wrong = () => "", send, made }) {
  const left = new AbortController();
  const dialog = openDialog({
    title,
    wide: true,
    body: (self) => html`<div class="making">${body((values) => {
      Object.assign(wish, values);
      self.draw();
    })}</div>`,
    actions: (self) => html`
      <button class="button" @click=${() => self.close()}>Cancel</button>
      <button class="button primary" ?disabled=${!wish.name || wrong() !== ""} @click=${action(async () => {
        const answer = await send({ signal: left.signal, patience: 0 });
        self.close();
        toast(`${answer.dataset} is written`, { detail: told(answer) });
        made(answer);
      }, { failed: "It was not written" })}>Write it</button>`,
  });
  dialog.closed.then(() => left.abort());
}

function told({ written, left_out: out, problems }) {
  const rows = Object.entries(written).map(([file, number]) => `${file}: ${count(number)}`).join(", ");
  const first = problems[0] ? ` ${statement(`The first: ${problems[0].reason}`)}` : "";
  return `${rows}.${out ? ` ${plural(out, "row was", "rows were")} left out.${first}` : ""}`;
}
