// From a checkpoint to a published model: its name, the steps as they are done, and what came of it.

import { html, nothing } from "lit-html";
import { action } from "../../parts/action.js";
import { openDialog } from "../../parts/dialog.js";
import { textField } from "../../parts/fields.js";
import { count, loss, statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { prose } from "../../parts/prose.js";
import { get, path, post, query } from "../../state/api.js";
import { follow } from "../../state/live.js";
import { runs } from "../../state/runs.js";

const STEPS = [
  ["fusing", "Fuse the checkpoint into its base model"],
  ["measuring the published model", "Load the result from the disk and measure it"],
  ["writing card and dashboard", "Write the model card and draw the curves"],
];

/** Ask for a name, publish, and show every step. What has begun goes on when the dialog is closed. */
export function openPublishing(watched, checkpoint) {
  const ends = new AbortController();
  const wish = { name: "", begun: false, phase: null, failure: null, end: null, card: null };
  const before = losses(watched, 0);
  const dialog = openDialog({
    title: `Publish checkpoint ${count(checkpoint.iteration)}`,
    wide: true,
    body: () => (wish.begun ? [steps(wish), result(wish, checkpoint, before)] : beginning(wish, checkpoint, before)),
    actions: ({ close }) => buttons(wish, close),
  });
  const start = async () => {
    const body = { iteration: checkpoint.iteration, name: wish.name.trim() || null };
    const { training_id: id } = await post(path`/api/runs/${watched.id}/publish`, body);
    Object.assign(wish, { begun: true, phase: null, failure: null });
    dialog.draw();
    runs.refresh();
    const update = ({ phase }) => {
      wish.phase = phase;
      dialog.draw();
    };
    follow(id, { update, end: (message, ok) => (ok ? finish(id) : fail(message)) }, ends.signal);
  };
  const finish = async (id) => {
    runs.refresh();
    wish.end = await outcome(id);
    dialog.draw();
    wish.card = await cardOf(wish.end.model_name);
    dialog.draw();
  };
  const fail = (message) => {
    wish.failure = message;
    runs.refresh();
    dialog.draw();
  };
  wish.start = action(start, { failed: "Nothing was published" });
  dialog.closed.then(() => ends.abort());
  dialog.draw();
  dialog.element.querySelector("input")?.focus();
}

/** The last event of a publish run: where the model is, and what was measured. */
export const outcome = async (id) => (await get(path`/api/runs/${id}`)).last_event;

/** The card of a published model as elements, null where it has none. */
export async function cardOf(name, signal) {
  const [{ card }, { markdown }] = await Promise.all([
    get(query("/api/models/card", { name }), { signal }),
    import("../../parts/markdown.js"),
  ]);
  return markdown(card);
}

/** What was measured at an iteration: [on the domain, on general data]. */
function losses({ history }, iteration) {
  const place = history.iteration.indexOf(iteration);
  const at = (key) => (place < 0 ? null : history.columns[key][place]);
  return [at("validation_loss"), at("general_validation_loss")];
}

const beginning = (wish, checkpoint, before) => html`
  <form class="stack" id="publish" @submit=${(event) => wish.start(event)}>
    <p>Its weights are fused into the base model. The result is a folder of its own that every program for MLX
      can load; it is measured again, and described by a card.</p>
    ${comparison([["Before training", before], ["This checkpoint", [checkpoint.validation_loss, checkpoint.general_validation_loss]]])}
    ${textField({ name: "publish-name", label: "Name", value: wish.name, placeholder: "From the run and the time",
      hint: "Letters, digits, dots, hyphens and underscores; a folder below models/published",
      change: (name) => (wish.name = name) })}
  </form>`;

/** The steps of publishing, done and to do. `phase` is the one that goes on. */
export function steps({ phase, end, failure }) {
  const here = STEPS.findIndex(([name]) => name === phase);
  const stateOf = (n) => (end || n < here ? "done" : n > here ? "waits" : failure ? "failed" : "goes on");
  return html`
    <div role="status"><ol class="publish-steps" aria-label="Steps">${STEPS.map(([, words], n) => html`
      <li data-state=${stateOf(n)}>${icon({ done: "check", failed: "warning" }[stateOf(n)] ?? "right")}
        <span>${words}<span class="unseen">: ${stateOf(n)}</span></span></li>`)}
    </ol></div>
    ${failure ? html`<div class="notice" data-tone="bad" role="alert">${icon("warning")}<div>
      <h2>Nothing was published</h2><p>${statement(failure.error ?? "The run ended early")}</p><p>${prose(failure.suggestion ?? "")}</p></div></div>` : nothing}`;
}

/** What came of it: the measured losses, the curves and the card. */
export function result({ end, card }, checkpoint = null, before = null) {
  if (!end?.model_name) return nothing;
  const picture = query("/api/models/picture", { name: end.model_name });
  return html`
    ${comparison([
      ...(before ? [["Before training", before]] : []),
      ["The checkpoint", [end.checkpoint_validation_loss, end.checkpoint_general_validation_loss]],
      ["The published model", [end.published_validation_loss, end.published_general_validation_loss]],
    ])}
    <p class="published-path">${icon("folder")}<code>${end.published_model_path}</code></p>
    <a class="published-picture" href=${picture} target="_blank" rel="noopener">
      <img src=${picture} alt="Loss, perplexity, learning rate, speed, stability and gap over the run" width="1600" height="1000"></a>
    ${card ? html`<details class="published-card"><summary>Model card</summary>${card}</details>` : nothing}`;
}

function comparison(rows) {
  const general = rows.some(([, [, value]]) => typeof value === "number");
  const row = ([name, [domain, other]]) => html`<tr><th scope="row">${name}</th>
    <td class="number">${loss(domain ?? null)}</td>${general ? html`<td class="number">${loss(other ?? null)}</td>` : nothing}</tr>`;
  return html`<table class="table publish-losses" aria-label="Measured losses">
    <thead><tr><th scope="col">Weights</th><th scope="col" class="number">Validation loss</th>
      ${general ? html`<th scope="col" class="number">On general data</th>` : nothing}</tr></thead>
    <tbody>${rows.map(row)}</tbody></table>`;
}

function buttons({ begun, end, failure, start }, close) {
  if (!begun) {
    return html`<button class="button" @click=${() => close()}>Cancel</button>
      <button class="button primary" type="submit" form="publish">${icon("publish")}Publish</button>`;
  }
  if (failure) {
    return html`<button class="button" @click=${() => close()}>Close</button>
      <button class="button primary" @click=${start}>Try again</button>`;
  }
  if (!end) return html`<span class="quiet">It goes on if this is closed.</span><button class="button" @click=${() => close()}>Close</button>`;
  return html`<button class="button" @click=${() => close()}>Close</button>
    <a class="button primary" href="/chat?model=${encodeURIComponent(end.model_name)}" @click=${() => close()}>${icon("chat")}Chat with it</a>`;
}
