// What the weights of each checkpoint answered to the run's own prompts, the latest first.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { count } from "../../parts/format.js";
import { selectField } from "../../parts/fields.js";
import { card } from "../../parts/page.js";

/** `samples` as /api/runs/ID/samples gives them; `wish` {prompt} of the page, `change(values)` for it. */
export function samplesCard(samples, { run, wish, change }) {
  if (!samples?.length) return nothing;
  const chosen = samples[Math.min(wish.prompt, samples.length - 1)];
  const choices = samples.map(({ prompt }, n) => ({ value: String(n), label: prompt.length > 90 ? `${prompt.slice(0, 90)} …` : prompt }));
  return card({
    title: "Sample answers",
    note: run.kind === "cpt" ? "every checkpoint goes on with the same text" : "the same question to every checkpoint",
    body: html`
      ${samples.length > 1
        ? selectField({ name: "sample-prompt", label: "Prompt", value: String(wish.prompt), choices, change: (n) => change({ prompt: Number(n) }) })
        : html`<p class="sample-prompt">${chosen.prompt}</p>`}
      ${chosen.answers.length
        ? html`<ol class="samples" tabindex="0" aria-label="Answers, the latest first">${repeat([...chosen.answers].reverse(), ({ seq }) => seq, (answer) => sample(answer, chosen.prompt, run))}</ol>`
        : html`<p class="quiet">None yet: the first comes before the first iteration, one more with every checkpoint.</p>`}`,
  });
}

const sample = ({ iteration, text, finished }, prompt, run) => html`
  <li>
    <span class="sample-where">${iteration === 0 ? "Before training" : `Iteration ${count(iteration)}`}</span>
    <p class="sample-text">${run.kind === "cpt" ? html`<span class="quiet">${prompt}</span>` : nothing}${text || html`<span class="quiet">(nothing)</span>`}${
      finished ? nothing : html`<span class="quiet" title="Answers are cut off at their longest"> …</span>`}</p>
  </li>`;
