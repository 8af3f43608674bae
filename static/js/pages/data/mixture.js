// A hint that general data, mixed in, keeps a model from forgetting what it could do.

import { html, nothing } from "lit-html";
import { rangeField, selectField } from "../../parts/fields.js";
import { count } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { card } from "../../parts/page.js";
import { toTrain } from "./addresses.js";

export function mixture({ looking, wish, datasets, change }) {
  const others = datasets.map(({ name }) => name).filter((name) => name !== looking.name);
  if (!others.length || !looking.described.value.document_count) return nothing;
  const general = wish.general ?? (others.includes("general") ? "general" : others[0]);
  const share = Math.round(100 * wish.ratio);
  return card({
    title: "Mix in general data",
    body: html`
      <p class="quiet">Trained on this alone, a model may forget some of what it could do. A share of other documents keeps that, and is measured on the way.</p>
      <div class="columns">
        ${selectField({ name: "general", label: "General data", value: general, choices: others, change: (name) => change({ general: name }) })}
        ${rangeField({ name: "ratio", label: `Share of ${looking.name}`, min: 0.5, max: 1, step: 0.05, value: wish.ratio, shown: `${share} %`, change: (ratio) => change({ ratio }) })}
      </div>
      <p>Of 100 tokens, ${count(share)} come from <b>${looking.name}</b> and ${count(100 - share)} from <b>${general}</b>.</p>
      <div class="actions"><a class="button" href=${toTrain(looking.name, { general_dataset: general, data_mixture_ratio: wish.ratio })}>${icon("train")}Train on this mixture</a></div>`,
  });
}
