// The form: its fields in cards, section by section. What a field is and may be comes from the server.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { areaField, numberField, segmented, selectField, switchField, textField } from "../../parts/fields.js";
import { count, sentence, statement, tick } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { card } from "../../parts/page.js";
import { datasetField, generalField, modelField } from "./pickers.js";
import { same } from "./values.js";
import { choiceOf, hintOf, KINDS, labelOf, said } from "./words.js";

const PICKERS = { model_name: modelField, dataset: datasetField, general_dataset: generalField };
// A prompt may have lines of its own where one prompt is one line.
const BREAK = "↵";

/** All cards. `form` is the page's: `{fields, sections, wish, plan, change(field, value), pick(values), …}`. */
export const formCards = (form) => repeat(form.sections, (section) => section, (section) => {
  const shown = form.fields.filter((field) => field.section === section && isShown(field, form));
  return shown.length ? card({
    title: sentence(section),
    body: html`<div class="train-fields">${repeat(shown, ({ name }) => name, (field) => one(field, form))}</div>`,
  }) : nothing;
});

/** Whether it is seen: everybody's, what was changed, what is wrong, and all of them for who wants that. */
function isShown(field, { wish, plan }) {
  const { name, simple } = field;
  if (name.startsWith("lora_") && chosen("fine_tune_type", { wish, plan }) === "full" && !(name in wish.values)) return false;
  if (name === "objective" && chosen("training_type", { wish, plan }) !== "ift" && !(name in wish.values)) return false;
  if (name === "dpo_beta" && chosen("objective", { wish, plan }) !== "dpo" && !(name in wish.values)) return false;
  if (name === "dpo_beta") return true;
  if (wish.all || simple || name in wish.values || wish.shown.has(name)) return name !== "start_from" || wish.all || !!problemOf(name, plan);
  return !!problemOf(name, plan);
}

const chosen = (name, { wish, plan }) => wish.values[name] ?? plan?.spec?.[name];

/** What keeps the run from starting; a choice that is still to be made is no mistake. */
const problemOf = (name, plan) => plan?.findings.find(({ level, field }) => level === "problem" && field === name);

const isMissing = (field, wish) => field.required && !wish.values[field.name];

function one(field, form) {
  const { wish, plan, change } = form;
  const { name } = field;
  const usual = wish.values.start_from ? plan?.spec?.[name] ?? field.default : field.default;
  const changed = !field.required && name in wish.values && !same(wish.values[name], field.default);
  const problem = isMissing(field, wish) ? null : problemOf(name, plan);
  const options = {
    name,
    label: labelOf(name),
    value: written(name in wish.values ? wish.values[name] : usual),
    unit: field.unit ?? "",
    hint: hintOf(field, wish.values.training_type),
    problem: problem ? statement(said(problem.message)) : "",
    changed,
    placeholder: placeholderOf(field, form),
    aside: changed ? backButton(field, form) : nothing,
    change: (value) => change(field, value),
  };
  return html`<div class="train-field" data-field=${name} data-kind=${wideOf(field)}>${control(field, options, form)}</div>`;
}

/** A rate as people write one: 5e-5. */
const written = (value) => (typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3 ? tick(value) : value);

function control(field, options, form) {
  const { name, type, choices } = field;
  if (name === "training_type") return kindField(options, field);
  if (PICKERS[name]) return PICKERS[name](options, form);
  if (type === "list") return choices.length ? checkField(options, choices) : linesField(field, options, form);
  if (choices.length) return selectField({ ...options, choices: choices.map((value) => ({ value, label: choiceOf(value) })) });
  if (type === "boolean") return switchField(options);
  return type === "text" ? textField(options) : numberField(options);
}

const wideOf = ({ name, type, choices }) => (["training_type", "sample_prompts", "hosts"].includes(name) ? "whole" : type === "list" && choices.length ? "checks" : "");

function placeholderOf(field, { plan }) {
  const { name, default: usual, nullable, typical, type } = field;
  if (name === "max_iterations" && plan?.iterations) return count(plan.iterations);
  if (name === "max_seq_length") return "Automatic";
  if (["text", "list"].includes(type) && name !== "sample_prompts") return typical.replaceAll(",", "\n") || nothing;
  return nullable && usual === null && type !== "list" ? "Not set" : nothing;
}

const backButton = (field, { back }) => html`
  <button class="train-back" title="Back to the default" aria-label="${labelOf(field.name)}: back to the default"
    @click=${() => back(field)}>${icon("refresh")}</button>`;

const kindField = (options, field) => html`
  <div class="train-kind">
    ${segmented({ name: field.name, label: "What it learns from", value: options.value ?? "cpt", change: options.change,
      choices: field.choices.map((value) => ({ value, label: choiceOf(value) })) })}
    <p class="field-hint">${KINDS[options.value ?? "cpt"]}</p>
  </div>`;

const checkField = ({ name, label, value, hint, problem, changed, aside, change }, choices) => html`
  <fieldset class="field ${changed ? "changed" : ""}">
    <legend class="field-label">${label}${changed ? html`<span class="unseen"> (changed)</span>` : nothing}${aside}</legend>
    <div class="train-checks">${choices.map((each) => html`<label>
      <input type="checkbox" name=${name} value=${each} .checked=${(value ?? []).includes(each)}
        @change=${(event) => change(choices.filter((c) => (c === each ? event.target.checked : (value ?? []).includes(c))))}>
      ${choiceOf(each)}</label>`)}</div>
    <p class="field-hint ${problem ? "problem" : ""}">${problem || hint}</p>
  </fieldset>`;

/** Several texts, one per line; names may have commas between them, as in the terminal. What is typed stays as it is typed: an
 * empty line at the end is about to be filled. */
function linesField({ longest }, options, { wish }) {
  const { name, change } = options;
  const between = longest === null ? /[\n,]/ : "\n";
  const lines = (text) => text.split(between).map((line) => (longest === null ? line.trim() : line)).filter((line) => line.trim()).map((line) => line.replaceAll(BREAK, "\n"));
  const value = options.value ?? [];
  const typed = wish.typed[name];
  const text = typed !== undefined && same(lines(typed), value) ? typed : value.map?.((each) => each.replaceAll("\n", BREAK)).join("\n") ?? "";
  return areaField({ ...options, value: text, rows: 3, change: (next) => {
    wish.typed[name] = next;
    change(lines(next));
  } });
}
