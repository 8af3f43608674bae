// Fields of forms: a label, the control, its unit, and below it the explanation or what is wrong with the value.

import { html, noChange, nothing } from "lit-html";
import { Directive, directive } from "lit-html/directive.js";
import { setCommittedValue } from "lit-html/directive-helpers.js";
import { live } from "lit-html/directives/live.js";

let number = 0;
const ids = new Map();
const idOf = (name) => ids.get(name) ?? (ids.set(name, `field-${(number += 1)}`), ids.get(name));

/**
 * All fields take `name`, `label`, `value`, `change(value)`; and may take `hint`, `problem`, `unit`, `placeholder`,
 * `changed` (marks a value that is not the default), `disabled`, `aside` (a template beside the label).
 */
const field = (options, control, { role = nothing } = {}) => {
  const { name, label, hint = "", problem = "", unit = "", changed = false, aside = nothing } = options;
  const id = idOf(name);
  return html`
    <div class="field ${changed ? "changed" : ""}" role=${role}>
      <div class="field-label">
        <label for=${id}>${label}${changed ? html`<span class="unseen"> (changed)</span>` : nothing}</label>${aside}
      </div>
      <div class="field-control">${control({ id, described: `${id}-hint` })}${unit ? html`<span class="unit">${unit}</span>` : nothing}</div>
      <p class="field-hint ${problem ? "problem" : ""}" id="${id}-hint">${problem || hint}</p>
    </div>`;
};

export const textField = (options) => field(options, ({ id, described }) => html`
  <input type="text" id=${id} name=${options.name} .value=${live(options.value ?? "")} aria-describedby=${described}
    placeholder=${options.placeholder ?? nothing} aria-invalid=${options.problem ? "true" : "false"}
    ?disabled=${options.disabled} autocomplete="off" spellcheck="false"
    @input=${(event) => options.change(event.target.value)}>`);

export const areaField = (options) => field(options, ({ id, described }) => html`
  <textarea id=${id} name=${options.name} rows=${options.rows ?? 4} .value=${live(options.value ?? "")}
    aria-describedby=${described} placeholder=${options.placeholder ?? nothing} ?disabled=${options.disabled}
    aria-invalid=${options.problem ? "true" : "false"}
    @input=${(event) => options.change(event.target.value)}></textarea>`);

const typing = new WeakSet();

/** As `live`, but leaves alone what is being typed: the page is drawn again whenever something arrives. */
const unlessTyping = directive(class extends Directive {
  render(value) {
    return value;
  }
  update(part, [value]) {
    if (typing.has(part.element) || part.element.value === value) return noChange;
    setCommittedValue(part);
    return value;
  }
});

/** `change` gets a number, or null for an empty field; a text that is no number is passed on as it is. */
export const numberField = (options) => field(options, ({ id, described }) => html`
  <input type="text" inputmode="decimal" class="number" id=${id} name=${options.name}
    .value=${unlessTyping(written(options.value))} aria-describedby=${described} placeholder=${options.placeholder ?? nothing}
    aria-invalid=${options.problem ? "true" : "false"} ?disabled=${options.disabled} autocomplete="off"
    @input=${(event) => typing.add(event.target)} @blur=${(event) => typing.delete(event.target)}
    @change=${(event) => {
      typing.delete(event.target);
      options.change(numberOf(event.target.value));
    }}>`);

const written = (value) => (value === null || value === undefined ? "" : String(value));

function numberOf(text) {
  if (!text.trim()) return null;
  const value = Number(text.replaceAll(",", "").trim());
  return Number.isFinite(value) ? value : text;
}

/** `choices` are texts, or `{value, label, hint, disabled}`; with `group` they stand under headings. */
export const selectField = (options) => field(options, ({ id, described }) => html`
  <select id=${id} name=${options.name} aria-describedby=${described} ?disabled=${options.disabled}
    aria-invalid=${options.problem ? "true" : "false"} .value=${live(options.value ?? "")}
    @change=${(event) => options.change(event.target.value)}>
    ${grouped(options.choices.map(choice), options.value ?? "")}
  </select>`);

const choice = (given) => (typeof given === "object" ? given : { value: given, label: given });

function grouped(choices, value) {
  const groups = new Map();
  for (const each of choices) groups.set(each.group ?? "", [...(groups.get(each.group ?? "") ?? []), each]);
  const option = (c) => html`<option value=${c.value} ?selected=${c.value === value} ?disabled=${c.disabled}>${c.label}</option>`;
  return [...groups].map(([name, all]) => (name ? html`<optgroup label=${name}>${all.map(option)}</optgroup>` : all.map(option)));
}

export const switchField = (options) => field(options, ({ id, described }) => html`
  <input type="checkbox" role="switch" class="switch" id=${id} name=${options.name} .checked=${live(!!options.value)}
    aria-describedby=${described} ?disabled=${options.disabled}
    @change=${(event) => options.change(event.target.checked)}>`);

export const rangeField = (options) => field(options, ({ id, described }) => html`
  <input type="range" id=${id} name=${options.name} min=${options.min} max=${options.max} step=${options.step ?? "any"}
    .value=${live(String(options.value))} aria-describedby=${described} ?disabled=${options.disabled}
    @input=${(event) => options.change(Number(event.target.value))}>
  <output class="range-value" for=${id}>${options.shown ?? options.value}</output>`);

/** One of a few, all of them seen. */
export const segmented = ({ name, label, value, choices, change, small = false }) => html`
  <div class="segmented ${small ? "small" : ""}" role="radiogroup" aria-label=${label}>
    ${choices.map(choice).map((each) => html`<label title=${each.hint ?? nothing}>
      <input type="radio" name=${name} value=${each.value} .checked=${live(each.value === value)}
        ?disabled=${each.disabled} @change=${() => change(each.value)}>
      <span>${each.label}</span></label>`)}
  </div>`;

/** A search over what is listed; "/" puts the cursor there where the page binds it. */
export const searchField = ({ name = "search", label, value, change }) => html`
  <input type="search" class="search" id=${idOf(name)} name=${name} aria-label=${label} placeholder=${label}
    .value=${live(value)} autocomplete="off" spellcheck="false" @input=${(event) => change(event.target.value)}>`;
