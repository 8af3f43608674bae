// The bar that is always there: the run that goes on, the resident model, memory, disk and both servers.

import { html, nothing, render } from "lit-html";
import { action } from "../parts/action.js";
import { confirm } from "../parts/dialog.js";
import { duration, gigabytes, kind, loss, model, sentence, state, title, tone } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { meter } from "../parts/progress.js";
import { reachable } from "../state/api.js";
import { health, resident } from "../state/health.js";
import { active, command, isActive, trains } from "../state/runs.js";
import { watch } from "../state/store.js";
import { addCommand } from "./commands.js";
import { go } from "./router.js";
import { showMessages, toast, unread } from "./toasts.js";

export function startStatus() {
  const bar = document.getElementById("status");
  watch([active, health, resident, reachable, unread], () => render(content(), bar));
  const running = () => active.value?.state === "running";
  const group = "The current run";
  addCommand({ title: "Open the current run", icon: "runs", group, when: () => active.value, run: openActive });
  addCommand({ title: "Pause the current run", icon: "pause", group, when: running, run: action(pause) });
  addCommand({ title: "Stop the current run", icon: "stop", group, when: running, run: action(stop) });
  addCommand({ title: "Messages", icon: "bell", group: "Help", run: showMessages });
}

const content = () => html`
  <div class="status-run">${active.value ? runSegment(active.value) : noRun()}</div>
  <div class="status-model">${modelSegment()}</div>
  ${health.value ? machine(health.value.system_info) : nothing}
  <div class="status-servers">${servers()}</div>
  <button class="icon-button status-bell" @click=${showMessages}
    aria-label=${unread.value ? `Messages, ${unread.value} new` : "Messages"} data-tip="Messages">
    ${icon("bell")}${unread.value ? html`<b>${Math.min(unread.value, 99)}</b>` : nothing}
  </button>`;

const noRun = () => html`<span class="quiet">No run is going on</span>`;

function runSegment(run) {
  const percent = Math.floor(run.progress_percentage);
  // What trains nothing counts from the start in each of its phases.
  const far = trains(run) ? `${percent} %` : sentence(run.phase ?? "");
  return html`
    <a class="status-link" href="/runs/${encodeURIComponent(run.id)}">
      <span class="state" data-tone=${tone(run)}>${run.state === "running" ? "" : state(run)}</span>
      <span class="status-name">${trains(run) ? "" : `${kind(run)}: `}${title(run)}</span>
    </a>
    ${run.state === "pending" ? nothing : html`
      ${meter({ value: percent, max: 100, label: "Progress of the current run" })}
      <span class="status-figure ${trains(run) ? "" : "wide"}">${far}</span>
      ${run.training_loss == null ? nothing : html`<span class="status-figure wide">loss ${loss(run.training_loss)}</span>`}
      ${run.eta_seconds == null ? nothing : html`<span class="status-figure wide">${duration(run.eta_seconds)} left</span>`}`}
    ${run.state === "running" && trains(run)
      ? html`<button class="icon-button" aria-label="Pause the run" data-tip="Pause" @click=${action(pause)}>${icon("pause")}</button>`
      : nothing}
    ${["running", "pending"].includes(run.state)
      ? html`<button class="icon-button" aria-label="Stop the run" data-tip="Stop" @click=${action(stop)}>${icon("stop")}</button>`
      : nothing}`;
}

function modelSegment() {
  const status = resident.value;
  if (!status) return html`<span class="quiet">${icon("model")}<span>No model server</span></span>`;
  const name = status.model_name && model(status);
  if (status.is_loading) return html`<span>${icon("model")}<span class="busy-words">Loading ${name}</span></span>`;
  if (!status.loaded) return html`<span class="quiet">${icon("model")}<span>No model loaded</span></span>`;
  const adapter = status.adapter_path ? " + adapter" : "";
  return html`<span title=${status.model_name}>${icon("model")}<span class="status-name">${name}${adapter}</span></span>`;
}

function machine({ memory_total_gb: total, memory_available_gb: free, disk_free_gb: disk }) {
  const used = total - free;
  const tone = used > 0.92 * total ? "bad" : used > 0.8 * total ? "waiting" : "quiet";
  return html`
    <div class="status-memory" title="${gigabytes(free)} of ${gigabytes(total)} memory free">
      ${icon("memory")}${meter({ value: used, max: total, tone, label: "Memory in use" })}
      <span class="wide">${gigabytes(free)} free</span>
    </div>
    ${disk === null ? nothing : html`<div class="status-disk wide" title="Free space on the disk of the workspace">
      ${icon("disk")}<span>${gigabytes(disk)} free</span></div>`}`;
}

function servers() {
  const web = reachable.value === false ? ["bad", "does not answer"] : ["good", "runs"];
  const known = health.value?.components.model_server;
  const tones = { running: ["good", "runs"], crashed: ["bad", "crashed"] };
  const of = reachable.value === false ? ["quiet", "unknown"] : tones[known] ?? ["quiet", "is not running"];
  return [["Web", ...web], ["Model", ...of]].map(([name, tone, word]) => html`
    <span class="state" data-tone=${tone} title="${name} server ${word}"
      ><span class="wide">${name}</span><span class="unseen"> server ${word}</span></span>`);
}

function openActive() {
  go(`/runs/${encodeURIComponent(active.value.id)}`);
}

async function pause() {
  toast(await command("pause", active.value.id));
}

async function stop() {
  const run = active.value;
  if (run && isActive(run) && await agreed(run)) toast(await command("stop", run.id));
}

/** Ask back before a run is stopped, or taken out of the queue. */
export function agreed(run) {
  const waits = run.state === "pending";
  return confirm({
    title: waits ? "Take this run out of the queue?" : "Stop this run?",
    text: waits
      ? `${title(run)} will not be started.`
      : trains(run)
        ? `${title(run)} saves a checkpoint and ends. To go on soon, pause it instead.`
        : `${title(run)} ends without a result.`,
    yes: waits ? "Take it out" : "Stop the run",
    no: "Keep it",
    tone: "bad",
  });
}
