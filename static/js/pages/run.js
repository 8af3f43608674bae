// One run: how far it is, its losses, its checkpoints, why it failed, the end of its log.

import { html, nothing, render } from "lit-html";
import { agreed } from "../frame/status.js";
import { toast } from "../frame/toasts.js";
import { action } from "../parts/action.js";
import { Chart } from "../parts/chart.js";
import { count, duration, gigabytes, iterations, kind, loss, megabytes, MISSING, moment, sentence, state, statement, title, tone }
  from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { badge, card, figures, pageHead } from "../parts/page.js";
import { bar } from "../parts/progress.js";
import { prose } from "../parts/prose.js";
import { table } from "../parts/table.js";
import { get, path } from "../state/api.js";
import { WatchedRun } from "../state/run.js";
import { canResume, command, isActive, trains } from "../state/runs.js";
import { watch } from "../state/store.js";

const SERIES = [
  { name: "Training", colour: "curve-1", key: "training_loss", width: 1.2 },
  { name: "Validation", colour: "curve-2", key: "validation_loss", sparse: true },
  { name: "On general data", colour: "curve-3", key: "general_validation_loss", sparse: true, dash: [6, 4] },
];
const LOG_LINES = 200;

export async function open({ element, params, signal, title: setTitle }) {
  const watched = new WatchedRun(params.id, signal);
  await watched.start();
  const chart = document.createElement("div");
  const losses = new Chart(chart, {
    label: "Losses", series: SERIES, y: { label: "loss in nats per token", format: loss }, height: 340,
  }, signal);
  watch([watched.details, watched.latest], () => {
    setTitle(title(watched.details.value.run));
    render(page(watched, chart), element);
  }, signal);
  watch([watched.measured, watched.details], () => losses.show(drawn(watched)), signal);
}

function drawn({ history, details: { value } }) {
  const best = value.checkpoints.find(({ is_best }) => is_best);
  const { run } = value;
  const marks = best ? [{ x: best.iteration, y: best.validation_loss, label: "best", tone: "accent" }] : [];
  if (run.state === "failed" && history.iteration.length) marks.push({ x: history.iteration.at(-1), label: "failed", tone: "bad" });
  return {
    x: history.iteration,
    columns: SERIES.map(({ key }) => history.columns[key]),
    marks,
    ahead: isActive(run) ? Math.min(run.total_iterations ?? 0, 1.6 * (history.iteration.at(-1) ?? Infinity)) : null,
  };
}

function page({ details, latest, refresh, id }, chart) {
  const { run, failure, checkpoints, spec, last_event: end } = details.value;
  return html`
    ${pageHead({
      title: title(run),
      above: html`<a href="/runs">Runs</a> / No. ${run.number}`,
      lead: html`${badge(state(run), tone(run))} ${kind(run)} · ${run.id} · ${moment(run.created)}`,
      actions: buttons(run),
    })}
    ${trouble(run, failure)}
    ${isActive(run) ? bar({ value: run.total_iterations ? run.progress_percentage : null, label: "Progress of the run", text: pace(run, latest.value) }) : nothing}
    ${trains(run) ? figures(measured(run, latest.value, end)) : nothing}
    ${outcome(end) ? html`<p>${outcome(end)}</p>` : nothing}
    ${trains(run) ? card({ title: "Losses", body: chart }) : nothing}
    ${trains(run) ? saved(run, checkpoints, spec) : nothing}
    ${log(id)}`;
}

const buttons = (run) => html`
  ${run.state === "running" && trains(run)
    ? html`<button class="button" @click=${action(() => tell("pause", run))}>${icon("pause")}Pause</button>` : nothing}
  ${canResume(run)
    ? html`<button class="button primary" @click=${action(() => tell("resume", run))}>${icon("play")}Resume</button>` : nothing}
  ${["running", "pending"].includes(run.state)
    ? html`<button class="button" @click=${action(async () => await agreed(run) && tell("stop", run))}>${icon("stop")}Stop</button>` : nothing}`;

async function tell(verb, run) {
  toast(await command(verb, run.id));
}

function trouble(run, failure) {
  const cutOff = run.state === "interrupted";
  if (!cutOff && run.state !== "failed") return nothing;
  const remedy = trains(run) ? "Resume goes on from the last state it saved." : "Start it again.";
  const told = cutOff
    ? { error: "Its process ended without a word: it was killed, or the machine was switched off.", suggestion: remedy }
    : failure ?? { error: "No reason is known", suggestion: "The end of its log, below, may say more." };
  return html`
    <div class="notice" data-tone="bad" role="group" aria-label="Failure">
      ${icon("warning")}
      <div>
        <h2>${cutOff ? "The run was interrupted" : "The run failed"}</h2>
        <p>${prose(statement(told.error))}</p>
        <p>${prose(told.suggestion ?? "")}</p>
      </div>
    </div>`;
}

function pace(run, latest) {
  if (run.state === "pending") return "waits for the run before it";
  const phase = latest?.phase ? sentence(latest.phase) : "Starting";
  const left = run.eta_seconds === null ? "" : ` · ${duration(run.eta_seconds)} left`;
  return `${phase} · ${Math.floor(run.progress_percentage)} %${left}`;
}

function measured(run, latest, end) {
  const speed = latest?.tokens_per_second, memory = latest?.memory_usage_gb;
  return [
    ["Iteration", iterations(run)],
    ["Training loss", loss(run.training_loss)],
    ["Validation loss", loss(run.validation_loss)],
    ["Speed", speed ? html`${count(Math.round(speed))} <small>tokens/s</small>` : MISSING],
    ["Memory", memory ? gigabytes(memory) : MISSING],
    end?.training_seconds ? ["Trained for", duration(end.training_seconds)] : ["Time left", duration(run.eta_seconds)],
  ];
}

function outcome(end) {
  const { reason, published_model_path: place, correct, count: asked, type } = end ?? {};
  if (type === "failed") return "";
  if (reason) return `Ended early: ${reason}`;
  if (place) return `Published as ${place}`;
  return asked ? `${correct} of ${asked} answers are right (${Math.round((100 * correct) / asked)} %)` : "";
}

function saved(run, checkpoints, spec) {
  const general = checkpoints.some((c) => c.general_validation_loss !== null);
  const none = isActive(run) ? `None yet. One is saved every ${spec.save_every} iterations.` : "This run saved none.";
  const columns = [
    { key: "rank", label: "Rank", kind: "tight", cell: (c) => c.rank ?? MISSING },
    { key: "iteration", label: "Iteration", kind: "number", cell: (c) => count(c.iteration) },
    { key: "validation", label: "Validation loss", kind: "number", cell: (c) => loss(c.validation_loss) },
    ...(general ? [{ key: "general", label: "On general data", kind: "number", cell: (c) => loss(c.general_validation_loss) }] : []),
    { key: "size", label: "Size", kind: "number", wide: true, cell: (c) => megabytes(c.size_mb) },
    { key: "remark", label: "Remark", cell: remark },
  ];
  return card({
    title: "Checkpoints",
    note: "best first",
    kind: "flush",
    body: checkpoints.length
      ? table({ label: "Checkpoints", columns, rows: checkpoints, key: (c) => c.iteration })
      : html`<p class="quiet inset">${none}</p>`,
  });
}

function remark({ problem, is_best, tied_with_best }) {
  if (problem) return badge(problem, "bad");
  if (is_best) return badge("Best", "good");
  return tied_with_best ? html`<span class="quiet">As good as the best</span>` : nothing;
}

const log = (id) => html`
  <details class="card" @toggle=${(event) => event.target.open && showLog(event.target.querySelector("pre"), id)}>
    <summary>End of its log</summary>
    <pre class="log" tabindex="0" role="region" aria-label="End of the run's log"></pre>
  </details>`;

const showLog = (pane, id) => action(async () => {
  const { log } = await get(path`/api/runs/${id}/log`);
  pane.textContent = log.trimEnd().split("\n").slice(-LOG_LINES).join("\n") || "The run wrote nothing to its log.";
  pane.scrollTop = pane.scrollHeight;
})();
