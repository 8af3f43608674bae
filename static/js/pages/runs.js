// All runs of the workspace, of every kind.

import { html, render } from "lit-html";
import { empty } from "../parts/empty.js";
import { searchField, segmented } from "../parts/fields.js";
import { ago, count, iterations, kind, loss, model, moment, plural, state, title, tone } from "../parts/format.js";
import { badge, pageHead } from "../parts/page.js";
import { skeleton } from "../parts/progress.js";
import { sorter, table } from "../parts/table.js";
import { isActive, runs } from "../state/runs.js";
import { watch } from "../state/store.js";
import { bind } from "../frame/keys.js";
import { setQuery } from "../frame/router.js";

const SHOWN = {
  all: () => true,
  active: isActive,
  good: (run) => ["completed", "early_stopped"].includes(run.state),
  bad: (run) => ["failed", "interrupted"].includes(run.state),
};
const CHOICES = [
  { value: "all", label: "All" },
  { value: "active", label: "Going on" },
  { value: "good", label: "Completed" },
  { value: "bad", label: "Failed" },
];
const COLUMNS = [
  { key: "title", label: "Run", cell: name, sort: title },
  { key: "state", label: "State", cell: (run) => badge(state(run), tone(run), run.problem ?? undefined), sort: state },
  { key: "iterations", label: "Iterations", kind: "number", wide: true, cell: iterations, sort: (run) => run.iteration },
  { key: "training", label: "Training loss", kind: "number", cell: (run) => loss(run.training_loss), sort: (run) => run.training_loss },
  { key: "validation", label: "Validation loss", kind: "number", cell: (run) => loss(run.validation_loss), sort: (run) => run.validation_loss },
  { key: "created", label: "Begun", kind: "number", wide: true, cell: (run) => html`<span title=${moment(run.created)}>${ago(run.created)}</span>`, sort: (run) => run.created },
];

export function open({ element, query, signal }) {
  const wish = { words: query.get("q") ?? "", only: query.get("state") ?? "all" };
  const sorting = sorter({ draw: () => draw() });
  const change = (values) => {
    Object.assign(wish, values);
    setQuery({ q: wish.words, state: wish.only === "all" ? null : wish.only });
    draw();
  };
  const draw = watch([runs], () => render(page(wish, change, sorting), element), signal);
  bind("/", { title: "Search the runs", run: () => element.querySelector("input[type=search]")?.focus() }, signal);
}

function page(wish, change, sorting) {
  if (!runs.value) return [pageHead({ title: "Runs" }), skeleton(8)];
  const { runs: list, total } = runs.value;
  if (!total) return [pageHead({ title: "Runs" }), none];
  const words = wish.words.toLowerCase();
  const found = list.filter((run) => SHOWN[wish.only](run) && `${title(run)} ${run.id} ${kind(run)}`.toLowerCase().includes(words));
  const lead = total > list.length ? `The newest ${count(list.length)} of ${count(total)}` : plural(total, "run");
  return html`
    ${pageHead({ title: "Runs", lead })}
    <div class="tools">
      ${searchField({ label: "Search runs", value: wish.words, change: (text) => change({ words: text }) })}
      ${segmented({ name: "only", label: "Which runs", value: wish.only, choices: CHOICES, change: (only) => change({ only }) })}
    </div>
    ${found.length ? all(found, sorting) : empty({ icon: "search", title: "No run is like that", text: "Change what you search for." })}`;
}

const all = (rows, sorting) => html`<div class="card flush">${table({
  label: "Runs",
  columns: COLUMNS,
  rows,
  sorting,
  key: (run) => run.id,
  href: (run) => `/runs/${encodeURIComponent(run.id)}`,
})}</div>`;

function name(run) {
  return html`<b>${model(run)}</b><small>No. ${run.number} · ${kind(run)}${run.dataset ? ` on ${run.dataset}` : ""}</small>`;
}

const none = empty({
  icon: "runs",
  title: "No runs yet",
  text: "Whatever you train, publish or measure is listed here, with everything that was measured on the way.",
  actions: html`<a class="button primary" href="/">See how to begin</a>`,
});
