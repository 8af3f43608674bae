// Making a model of its own of a run's checkpoint: which one, and its name. The publish run's page shows the steps.

import { html } from "lit-html";
import { go } from "../../frame/router.js";
import { action } from "../../parts/action.js";
import { openDialog } from "../../parts/dialog.js";
import { selectField, textField } from "../../parts/fields.js";
import { count, loss, megabytes } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { get, path, post } from "../../state/api.js";
import { runs } from "../../state/runs.js";

/** Ask for the checkpoint of the run `id` and a name, and begin. */
export async function openPublish(id) {
  const { checkpoints } = await get(path`/api/runs/${id}`);
  const usable = checkpoints.filter(({ problem }) => !problem);
  if (!usable.length) throw Object.assign(new Error("The run has no usable checkpoint"), { expected: true, suggestion: "Wait for its first one." });
  const wish = { iteration: usable[0].iteration, name: "" };
  const publish = async () => {
    const { training_id: run } = await post(path`/api/runs/${id}/publish`, { iteration: wish.iteration, name: wish.name.trim() || null });
    runs.refresh();
    dialog.close();
    go(`/runs/${encodeURIComponent(run)}`);
  };
  const dialog = openDialog({
    title: "Publish a checkpoint",
    body: () => form(usable, wish),
    actions: ({ close }) => html`<button class="button" @click=${() => close()}>Cancel</button>
      <button class="button primary" @click=${action(publish, { failed: "Nothing was published" })}>${icon("publish")}Publish</button>`,
  });
}

const form = (checkpoints, wish) => html`
  <p class="quiet">It becomes a model of its own that other programs load too, is measured again, and gets a card of what was measured.</p>
  <div class="publish-form">
    ${selectField({
      name: "publish-iteration",
      label: "Checkpoint",
      value: String(wish.iteration),
      choices: checkpoints.map((checkpoint) => ({ value: String(checkpoint.iteration), label: words(checkpoint) })),
      change: (value) => (wish.iteration = Number(value)),
    })}
    ${textField({
      name: "publish-name",
      label: "Name",
      value: wish.name,
      hint: "Letters, digits, dots and hyphens. Left empty, it is made of the run's name and the time.",
      change: (name) => (wish.name = name),
    })}
  </div>`;

const words = (checkpoint) => [
  `Iteration ${count(checkpoint.iteration)}`, `loss ${loss(checkpoint.validation_loss)}`, megabytes(checkpoint.size_mb),
  checkpoint.is_best ? "the best" : checkpoint.tied_with_best ? "tied with the best" : "",
].filter(Boolean).join(" · ");
