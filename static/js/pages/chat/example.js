// Saving an exchange as an example to train on.

import { html } from "lit-html";
import { toast } from "../../frame/toasts.js";
import { action } from "../../parts/action.js";
import { openDialog } from "../../parts/dialog.js";
import { areaField, selectField, switchField, textField } from "../../parts/fields.js";
import { plural } from "../../parts/format.js";
import { get, path, post } from "../../state/api.js";

const NEW = "";
const REMEMBERED = "forgellm.examples";

/** Ask where the answer `message` goes, with its question or with all that led there. */
export async function saveExample(conversation, message) {
  const { datasets } = await get("/api/dataset/info");
  const names = datasets.map(({ name }) => name);
  const last = localStorage.getItem(REMEMBERED);
  const turns = turnsTo(conversation, message);
  const form = {
    dataset: names.includes(last) ? last : NEW, name: "my_examples", whole: false,
    system: !!conversation.settings.system_prompt, question: turns.at(-2)?.content ?? "", answer: message.content,
  };
  openDialog({
    title: "Save as a training example",
    wide: true,
    body: (dialog) => fields(form, { names, turns, conversation, dialog }),
    actions: ({ close }) => html`
      <button class="button" @click=${() => close()}>Cancel</button>
      <button class="button primary" @click=${action(async () => {
        await save(form, turns, conversation);
        close(true);
      }, { failed: "The example was not saved" })}>Save the example</button>`,
  });
}

function fields(form, { names, turns, conversation, dialog }) {
  const change = (values) => {
    Object.assign(form, values);
    dialog.draw();
  };
  const choices = [{ value: NEW, label: "A new dataset" }, ...names];
  return html`
    <div class="example-form">
      ${selectField({ name: "example-dataset", label: "Dataset", value: form.dataset, choices, change: (dataset) => change({ dataset }) })}
      ${form.dataset === NEW ? textField({ name: "example-name", label: "Its name", value: form.name, change: (name) => change({ name }) }) : ""}
      ${areaField({ name: "example-question", label: "Question", value: form.question, rows: 3, change: (question) => (form.question = question) })}
      ${areaField({ name: "example-answer", label: "Answer, which is learned", value: form.answer, rows: 6, change: (answer) => (form.answer = answer) })}
      ${turns.length > 2 ? switchField({ name: "example-whole", label: "With all turns before it", value: form.whole, hint: plural(turns.length, "message"), change: (whole) => change({ whole }) }) : ""}
      ${conversation.settings.system_prompt ? switchField({ name: "example-system", label: "With the system prompt", value: form.system, change: (system) => change({ system }) }) : ""}
    </div>`;
}

async function save(form, turns, conversation) {
  const name = form.dataset === NEW ? form.name.trim() : form.dataset;
  const before = form.whole ? turns.slice(0, -2) : [];
  const messages = [
    ...(form.system && conversation.settings.system_prompt ? [{ role: "system", content: conversation.settings.system_prompt }] : []),
    ...before, { role: "user", content: form.question }, { role: "assistant", content: form.answer },
  ];
  const { examples, file } = await post(path`/api/datasets/${name}/examples`, { messages });
  localStorage.setItem(REMEMBERED, name);
  toast(`Saved: ${plural(examples, "example")} in ${file}`);
}

function turnsTo(conversation, message) {
  const shown = conversation.path;
  const place = shown.findIndex(({ id, role, parent }) => id === message.id || (role === "assistant" && parent === message.parent));
  return [...shown.slice(0, place), message].map(({ role, content }) => ({ role, content }));
}
