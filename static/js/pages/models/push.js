// Putting a model on the Hugging Face Hub: first what would be there, then, asked once more, the run that does it.

import { html, nothing } from "lit-html";
import { go } from "../../frame/router.js";
import { action } from "../../parts/action.js";
import { openDialog } from "../../parts/dialog.js";
import { switchField, textField } from "../../parts/fields.js";
import { gigabytes, plural } from "../../parts/format.js";
import { post } from "../../state/api.js";
import { runs } from "../../state/runs.js";
import { called } from "./words.js";

export function openPush(model) {
  const wish = { repo: "", public: false, update: false, shown: null };
  // What was shown is what is pushed: another wish has to be looked at again.
  const change = (values) => {
    Object.assign(wish, values, { shown: null });
    dialog.draw();
  };
  const body = () => ({ model_name: model.name, repo_id: wish.repo.trim(), private: !wish.public, update: wish.update });
  const look = action(async () => {
    wish.shown = await post("/api/push/preview", body());
    dialog.draw();
  }, { failed: "It cannot be pushed like this" });
  const push = action(async () => {
    const { run_id: run } = await post("/api/push", body());
    runs.refresh();
    dialog.close();
    go(`/runs/${encodeURIComponent(run)}`);
  }, { failed: "Nothing was pushed" });
  const dialog = openDialog({
    title: `Push ${called(model)} to the Hub`,
    wide: true,
    body: () => html`
      <p class="quiet">It goes to huggingface.co, with the token of HF_TOKEN or of the Hub's own login. Files become visible in one step at the end.</p>
      <div class="publish-form">
        ${textField({ name: "push-repo", label: "Repository", value: wish.repo, placeholder: "OWNER/NAME", change: (repo) => change({ repo }) })}
        ${switchField({ name: "push-public", label: "Public", value: wish.public, hint: "Else you alone can see it", change: (value) => change({ public: value }) })}
        ${switchField({ name: "push-update", label: "Replace what is there", value: wish.update, hint: "Of a model that was pushed before", change: (value) => change({ update: value }) })}
      </div>
      ${wish.shown ? contents(wish.shown) : nothing}`,
    actions: ({ close }) => html`<button class="button" @click=${() => close()}>Cancel</button>
      ${wish.shown
        ? html`<button class="button primary" @click=${push}>Push${wish.shown.private ? "" : " for everybody to see"}</button>`
        : html`<button class="button primary" ?disabled=${!wish.repo.trim()} @click=${look}>Show what will be there</button>`}`,
  });
}

const contents = ({ files, card }) => html`<div class="stack">
  <h3>${plural(files.length, "file")}, ${gigabytes(files.reduce((sum, { size_bytes: size }) => sum + size, 0) / 1e9)}</h3>
  <p class="quiet small">${files.map(({ path }) => path).join(", ")}</p>
  <h3>The card that others will read</h3>
  <pre class="log" tabindex="0" role="region" aria-label="The card">${card}</pre></div>`;
