// What came of a run that trains nothing: files for other programs, a quantized copy, or an evaluation.

import { html, nothing } from "lit-html";
import { count, gigabytes, loss, MISSING, plural, statement, tick } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { card, figures } from "../../parts/page.js";
import { table } from "../../parts/table.js";

// Name, what it is, and what it is measured over.
const MEASURES = {
  loss: ["Loss", "Nats per token on the text", "token"],
  perplexity: ["Perplexity", "exp(loss)", "token"],
  exact_match: ["Exactly right", "Share of answers equal to the expected one", "answer"],
  token_f1: ["Words in common", "F1 of the words, as SQuAD counts them", "answer"],
  rouge_l: ["ROUGE-L", "F1 of the longest common sequence of words", "answer"],
  bleu: ["BLEU", "Of 100, over all answers; 0 where all are shorter than four words, right or wrong", "answer"],
  chrf: ["chrF", "Of 100, over all answers", "answer"],
  distinct_1: ["Distinct words", "Different words among all", "word"],
  distinct_2: ["Distinct pairs", "Different pairs of words among all", "pair"],
  response_words: ["Words an answer", "On average", "answer"],
};

/** Null for other runs, and before their end. */
export function made(end) {
  if (end?.type !== "completed") return null;
  if (end.metrics || end.tasks?.length) return [end.metrics ? evaluated(end) : nothing, end.tasks?.length ? asked(end) : nothing];
  if (end.export_path) return exported(end);
  if (end.repo_id) return pushed(end);
  return end.bits_per_weight ? quantized(end) : null;
}

const pushed = ({ repo_id: name, url, private: alone, done_bytes: size }) => card({ title: "On the Hub", body: html`
  <p>${alone ? "You alone can see it" : "Everybody can see it"}, ${gigabytes(size / 1e9)} were sent:
    <a href=${url} target="_blank" rel="noreferrer noopener">${name}</a></p>` });

const exported = ({ export_path: folder, size_bytes: size }) => card({ title: "Exported", body: place(folder, gigabytes(size / 1e9)) });

const quantized = (end) => card({ title: "Quantized", body: html`<div class="stack">
  ${place(end.published_model_path)}
  ${figures(compared(end))}
  ${end.warning ? html`<div class="notice" data-tone="waiting" role="note">${icon("warning")}<div><p>${statement(end.warning)}</p></div></div>` : nothing}
  <p class="quiet">${statement(end.validation_data)}</p>
  <div class="actions"><a class="button" href="/models?model=${encodeURIComponent(end.published_model_path)}">${icon("model")}Look at it</a></div></div>` });

/** The copy beside what it was made of. */
function compared({ size_bytes: size, size_bytes_before: before, bits_per_weight: bits, ...end }) {
  return [
    ...(size ? [["Size before", gigabytes(before / 1e9)], ["Size of the copy", gigabytes(size / 1e9)]] : []),
    ["Bits a weight", tick(Number(bits.toPrecision(3))), "On average, with the scales"],
    ...(typeof end.validation_loss_after === "number" ? [
      ["Loss before", loss(end.validation_loss_before), "Validation loss of the model as it was"],
      ["Loss of the copy", loss(end.validation_loss_after), "Validation loss, loaded from the disk"],
    ] : []),
  ];
}

function evaluated({ metrics, base_metrics: base, text, answers_path: answers, answers_cut: cut }) {
  const known = Object.keys(MEASURES).filter((name) => metrics[name]?.count);
  return card({ title: "Measured", kind: "flush", body: html`
    ${table({
      label: "Measured",
      rows: known,
      key: (name) => name,
      columns: [
        { key: "measure", label: "Measure", cell: (name) => html`<span title=${MEASURES[name][1]}>${MEASURES[name][0]}</span>` },
        ...(base ? [{ key: "base", label: "Base", kind: "number", cell: (name) => value(base[name]) }] : []),
        { key: "value", label: base ? "With the adapter" : "Value", kind: "number", cell: (name) => value(metrics[name]) },
        { key: "count", label: "Over", kind: "number", wide: true, cell: (name) => plural(metrics[name].count, MEASURES[name][2]) },
      ],
    })}
    <div class="stack made-note">${cut ? html`<p class="quiet">${plural(cut, "answer was", "answers were")} cut where the room for one ended: their length says little.</p>` : nothing}${text ? html`<p class="quiet">Text: ${text}</p>` : nothing}${answers ? place(answers) : nothing}</div>` });
}

/** What lm-eval's tasks gave; the same measure may be taken of answers that were looked through in several ways. */
function asked({ tasks, base_tasks: base }) {
  const key = (one) => JSON.stringify([one.task, one.metric, one.filter]);
  const before = new Map(base?.map((one) => [key(one), one]));
  return card({ title: "Tasks", note: "asked by lm-eval", kind: "flush", body: table({
    label: "Tasks",
    rows: tasks,
    key,
    columns: [
      { key: "task", label: "Task", cell: ({ task }) => task },
      { key: "measure", label: "Measure", cell: ({ metric, filter }) => (filter === "none" ? metric : `${metric}, ${filter}`) },
      ...(base ? [{ key: "base", label: "Base", kind: "number", cell: (one) => value(before.get(key(one))) }] : []),
      { key: "value", label: base ? "With the adapter" : "Value", kind: "number", cell: value },
      { key: "count", label: "Over", kind: "number", wide: true, cell: (one) => (one.count ? count(one.count) : MISSING) },
    ],
  }) });
}

function value({ value, standard_error: error } = { value: null }) {
  if (value === null) return MISSING;
  return error === null ? loss(value) : html`${loss(value)} <small class="quiet">± ${loss(error)}</small>`;
}

const place = (folder, size = "") => html`<p class="published-path">${icon("folder")}<code>${folder}</code> <span class="quiet">${size}</span></p>`;
