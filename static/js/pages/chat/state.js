// What stands in the way of an answer, and the way out: no server, a crashed one, no model, one that does not load.

import { html, nothing } from "lit-html";
import { action, copying } from "../../parts/action.js";
import { empty } from "../../parts/empty.js";
import { statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { bar } from "../../parts/progress.js";
import { prose } from "../../parts/prose.js";
import { health, modelServerRuns, resident } from "../../state/health.js";
import { targetOf } from "../../state/target.js";
import { loadTarget } from "./models.js";
import { targetName } from "./names.js";

/** `{tone, title, text, actions}` of what is in the way; null where the model answers. */
function trouble(desk) {
  if (!health.value) return null;
  if (!modelServerRuns()) return serverTrouble(health.value.model_server_crash);
  const status = resident.value;
  if (!status || status.loaded || status.is_loading) return null;
  const choose = html`<button class="button primary" @click=${desk.chooseModel}>${icon("model")}Choose a model</button>`;
  if (status.error) {
    return { tone: "bad", title: "The model could not be loaded", text: `${statement(status.error.error)} ${status.error.suggestion}`, actions: choose };
  }
  const { model } = desk.conversation.settings;
  const again = model && html`<button class="button" @click=${action(() => loadTarget(model), { failed: "The model was not loaded" })}>Load ${targetName(model)}</button>`;
  return { tone: "waiting", title: "No model is loaded", text: "Choose who is to answer: a base model, a published one, or a checkpoint of a run.", actions: html`${choose}${again || nothing}` };
}

function serverTrouble(crash) {
  const start = html`<button class="button" @click=${copying("forgellm start", "Command copied")}>${icon("copy")}Copy the command</button>`;
  if (!crash) return { tone: "waiting", title: "No model server runs", text: "`forgellm start` starts both servers; `forgellm server` adds the one that answers. This page goes on by itself.", actions: start };
  const how = crash.signal_name ?? (crash.exit_code === null ? "an unknown reason" : `exit code ${crash.exit_code}`);
  if (crash.given_up) return { tone: "bad", title: "The model server crashed too often", text: `It ended by ${how} again and again, and is not started any more. \`forgellm start\` tries anew; a smaller model needs less memory.`, actions: start };
  return { tone: "bad", title: "The model server crashed", text: `It ended by ${how}. Where \`forgellm start\` runs, it comes back within seconds and loads the model again; otherwise start it.`, actions: start };
}

/** Above the field where a message is written; nothing while all is well. */
export function modelState(desk) {
  const status = resident.value;
  if (modelServerRuns() && status?.is_loading) {
    return html`<div class="model-loading" role="status">${bar({ label: "Loading the model", text: `Loading ${targetName(targetOf(status))} …` })}</div>`;
  }
  const found = trouble(desk);
  if (!found || !desk.conversation.path.length) return nothing;
  return html`
    <div class="notice" data-tone=${found.tone} role="status">
      ${icon("warning")}
      <div><h2>${found.title}</h2><p>${prose(found.text)}</p><div class="actions">${found.actions}</div></div>
    </div>`;
}

/** What stands where there are no messages yet. */
export function welcome(desk) {
  const found = trouble(desk);
  if (found) return html`<div class="chat-welcome">${empty({ icon: found.tone === "bad" ? "warning" : "model", title: found.title, text: found.text, actions: found.actions })}</div>`;
  const name = targetName(targetOf(resident.value));
  const completes = desk.conversation.settings.mode === "complete";
  return html`<div class="chat-welcome">${empty({
    icon: "chat",
    title: name ? `Ask ${name}` : "Ask the model",
    text: completes ? "Write the beginning of a text; the model goes on with it."
      : resident.value?.model_type === "base"
        ? "It is a base model: it goes on with texts rather than answering. The settings have a mode for that."
        : "`Enter` sends, `Shift Enter` makes a new line, `Esc` stops an answer.",
  })}</div>`;
}
