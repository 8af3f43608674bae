// What the run will be, before it is started: its length, memory, disk, and what would go wrong with it.

import { html, nothing } from "lit-html";
import { action, copying } from "../../parts/action.js";
import { count, duration, gigabytes, MISSING, plural, sentence, short, statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { badge } from "../../parts/page.js";
import { prose } from "../../parts/prose.js";
import { skeleton } from "../../parts/progress.js";
import { vars } from "../../parts/vars.js";
import { choiceOf, labelOf, said, TO_CHOOSE } from "./words.js";

const MEMORY = [
  ["weights", "curve-1"], ["adapter", "curve-4"], ["gradients", "curve-2"], ["optimizer", "curve-5"], ["activations", "curve-3"], ["logits", "curve-6"],
  ["validation", "quiet"],
];
const FITS = { fits: ["Fits", "good"], tight: ["Tight", "waiting"], "too large": ["Too large", "bad"] };
const LEVELS = { problem: ["warning", "bad"], warning: ["warning", "waiting"], note: ["info", "quiet"] };

/** `form` is the page's; `chart` the element that the learning rate is drawn into. */
export function planCard({ preflight, wish, begin, jump, use, chart }) {
  const { answer, error } = preflight.value;
  return html`
    <aside class="card train-plan" aria-labelledby="train-plan-title">
      ${head({ answer, error, wish, begin })}
      <div class="train-plan-body">
        ${answer ? [
          lengths(answer), findings(answer, wish, jump), rate(answer, chart), memory(answer, use), disk(answer), terminal(answer),
        ] : error ? nothing : skeleton(8)}
      </div>
    </aside>`;
}

function lengths({ iterations, epochs, trained_tokens: tokens, time, unknown, data }) {
  const whole = (value) => (value === null ? MISSING : count(value));
  const passes = epochs === null ? MISSING : count(Number(epochs.toPrecision(3)));
  // One reason for all of them stands once.
  const once = (text) => (text === unknown.time ? null : text);
  return html`
    <dl class="train-lengths">
      ${figure("Iterations", whole(iterations), unknown.iterations)}
      ${figure("Epochs", passes, once(unknown.epochs) ?? (data && `${plural(data.sequences, "sequence")}${data.exact ? "" : ", roughly"}`))}
      ${figure("Tokens", tokens === null ? MISSING : short(tokens), once(unknown.trained_tokens) ?? (data && `${data.exact ? "" : "about "}${short(data.tokens)} in the data`))}
      ${figure("Time", time ? duration(time.seconds) : MISSING, time ? `Roughly, at ${count(Math.round(time.tokens_per_second))} tokens/s as in ${time.basis}` : unknown.time)}
    </dl>`;
}

const figure = (name, value, below) => html`<div><dt>${name}</dt><dd>${value}<small>${below ? sentence(below) : nothing}</small></dd></div>`;

/** What is still to be chosen first, then what is wrong, then what is good to know. */
function findings({ findings: all }, wish, jump) {
  const shown = all.filter(({ code }) => code !== "QUEUED");
  if (!shown.length) return html`<p class="train-fine">${icon("check")}Nothing speaks against it.</p>`;
  const order = Object.keys(LEVELS);
  const sorted = [...shown].sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  return html`<ul class="train-findings" aria-label="What was found">${sorted.map((one) => finding(one, wish, jump))}</ul>`;
}

function finding({ level, message, suggestion, field }, wish, jump) {
  const [drawn, tone] = LEVELS[level];
  if (isToChoose(field, wish)) {
    return html`<li data-tone="accent">${icon("right")}<div><button class="train-jump" @click=${() => jump(field)}>${TO_CHOOSE[field]}</button></div></li>`;
  }
  return html`<li data-tone=${tone}>${icon(drawn)}<div>
    <span class="unseen">${sentence(level)}: </span>${statement(said(message))} ${suggestion ? html`<span class="quiet">${prose(advice(suggestion, field))}</span>` : nothing}
    ${field && field !== "queue" ? html`<button class="train-jump" @click=${() => jump(field)}>Go to ${labelOf(field).toLowerCase()}</button>` : nothing}
  </div></li>`;
}

/** What to do; that it is about its field is said by the way there. */
const advice = (text, field) => sentence(said(field && text.startsWith(`${field}: `) ? text.slice(field.length + 2) : text));

const isToChoose = (field, { values }) => field in TO_CHOOSE && !values[field] && !(field === "model_name" && values.start_from);

const rate = ({ learning_rate: points }, chart) => html`
  <section aria-label="Learning rate">
    <h3>Learning rate</h3>
    ${points ? chart : html`<p class="quiet small">Not known yet.</p>`}
  </section>`;

function memory({ memory: found, unknown, learnable_parameters: learns, spec }, use) {
  if (!found) return html`<section><h3>Memory</h3><p class="quiet small">${reason(unknown.memory)}</p></section>`;
  const { total, limit, available, fit, note, ways } = found;
  const [word, tone] = FITS[fit];
  const whole = Math.max(total, limit);
  const parts = MEMORY.filter(([name]) => found[name] > 0);
  const said = parts.map(([name]) => `${name} ${size(found[name])}`).join(", ");
  return html`
    <section>
      <h3>Memory ${badge(word, tone)}</h3>
      <p><b>${size(total)}</b> <span class="quiet">of ${size(limit)}</span></p>
      <div class="train-memory" role="img" aria-label="Of ${size(limit)}: ${said}">${parts.map(([name, colour]) => html`<i data-colour=${colour} ${vars({ share: found[name] / whole })}></i>`)}
        ${total > limit ? html`<u ${vars({ share: limit / whole })}></u>` : nothing}</div>
      <ul class="train-parts">${parts.map(([name, colour]) => html`<li><i data-colour=${colour}></i>${sentence(name)}<b>${size(found[name])}</b></li>`)}</ul>
      <p class="quiet small">${learns === null ? nothing : `${short(learns)} parameters learn. `}${size(available)} are free now; the limit is ${note}.${shared(spec)}</p>
      ${ways.length ? html`<h4>What would make it fit</h4><ul class="train-ways">${ways.map((one) => way(one, use))}</ul>` : nothing}
    </section>`;
}

const shared = (spec) => (spec?.hosts.length ? " This is for this machine's share of every batch; each of the others needs about as much." : "");

function way({ changes, total }, use) {
  const words = Object.entries(changes).map(([name, value]) => `${labelOf(name)}: ${valueOf(value)}`).join(", ");
  return html`<li><span>${words}<small>${size(total)}</small></span><button class="button small" aria-label="Use ${words}" @click=${() => use(changes)}>Use</button></li>`;
}

const valueOf = (value) => (value === null ? "none" : value === true ? "on" : typeof value === "number" ? count(value) : choiceOf(value));

function disk({ checkpoints: found, unknown }) {
  if (!found) return html`<section><h3>Checkpoints</h3><p class="quiet small">${reason(unknown.checkpoints)}</p></section>`;
  const { written, kept, size_bytes: one, total_bytes: all } = found;
  const stay = kept < written ? `, ${count(kept)} of them kept` : "";
  return html`<section><h3>Checkpoints</h3>
    <p><b>${size(all)}</b> <span class="quiet">on disk at most</span></p>
    <p class="quiet small">${plural(written, "checkpoint is", "checkpoints are")} written${stay}, ${size(one)} each, and the state to resume from.</p></section>`;
}

const terminal = ({ command }) => command === null ? nothing : html`
  <details class="train-terminal" @toggle=${(event) => event.currentTarget.scrollIntoView({ block: "nearest" })}><summary>In the terminal</summary>
    <div><pre class="log" tabindex="0" role="region" aria-label="The same run in the terminal">${command}</pre>
    <button class="button small" @click=${copying(command, "The command is copied")}>${icon("copy")}Copy</button></div>
  </details>`;

/** The button, and why it cannot be pressed or that the run will wait. */
function head({ answer, error, wish, begin }) {
  const queued = answer?.findings.find(({ code }) => code === "QUEUED");
  const why = error ? `${statement(error.message)} ${error.suggestion ?? ""}` : answer ? reasons(answer, wish) : "";
  const note = why || (queued ? `${statement(queued.message)} ${queued.suggestion}` : "");
  return html`
    <header class="train-plan-head">
      <h2 id="train-plan-title">What this run will be</h2>
      <button class="button primary" id="train-start" aria-describedby="train-why" ?disabled=${!answer?.can_start || !!error}
        @click=${action(begin, { failed: "The run was not started" })}>${icon(queued ? "clock" : "play")}${queued ? "Queue" : "Start"}</button>
      <p role="status" id="train-why" class=${error ? "problem" : "quiet"}>${prose(note)}</p>
    </header>`;
}

/** Why it cannot be started, in a line. */
function reasons({ can_start: can, findings: all }, wish) {
  if (can) return "";
  const problems = all.filter(({ level }) => level === "problem");
  const open = problems.filter(({ field }) => isToChoose(field, wish)).map(({ field }) => TO_CHOOSE[field]);
  if (open.length) return `${open.join(" and ").replace("and Choose", "and")} first.`;
  return problems.length === 1 ? statement(said(problems[0].message)) : `${count(problems.length)} problems are in the way.`;
}

const reason = (text) => (text ? statement(text) : "Not known.");
const size = (bytes) => gigabytes(bytes / 1e9);
