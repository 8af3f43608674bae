// One run: how far it is, its curves, what happened, what its checkpoints answer, and what can be done with it.

import { html, nothing, render } from "lit-html";
import { askToNotify, permission } from "../frame/news.js";
import { go } from "../frame/router.js";
import { agreed } from "../frame/status.js";
import { toast } from "../frame/toasts.js";
import { action } from "../parts/action.js";
import { count, duration, gigabytes, iterations, kind, loss, MISSING, moment, plural, sentence, state, statement, tick, title, tone }
  from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { menu } from "../parts/menu.js";
import { badge, card, figures, pageHead } from "../parts/page.js";
import { bar } from "../parts/progress.js";
import { prose } from "../parts/prose.js";
import { canRemove, describeRun, placeInQueue, queueItems, removeRuns } from "../parts/run_actions.js";
import { WatchedRun } from "../state/run.js";
import { canResume, command, isActive, runs, trains } from "../state/runs.js";
import { Store, watch } from "../state/store.js";
import { Activity } from "./run/activity.js";
import { RunCharts } from "./run/charts.js";
import { checkpointsCard } from "./run/checkpoints.js";
import { made } from "./run/made.js";
import { cardOf, openPublishing, result, steps } from "./run/publish.js";
import { samplesCard } from "./run/samples.js";
import { settingsCard } from "./run/settings.js";

// All of them stand among the settings.
const SHOWN_MACHINES = 4;

export async function open({ element, params, signal, title: setTitle }) {
  const watched = new WatchedRun(params.id, signal);
  await watched.start();
  const page = new RunPage(watched, () => draw(), signal);
  const draw = watch([watched.details, watched.latest, watched.milestones, watched.samples, page.changed, runs], () => {
    const { run } = watched.details.value;
    setTitle(isActive(run) ? title(run) : `${state(run)}: ${title(run)}`);
    render(page.template(), element);
  }, signal);
  if (page.charts) watch([watched.measured, watched.details], () => page.charts.show(), signal);
}

class RunPage {
  /** Counts up when something of the page alone has changed. */
  changed = new Store(0);
  charts = null;
  #watched;
  #activity;
  #wish = { prompt: 0 };
  #published = null;
  #items = { key: null, list: [] };

  constructor(watched, draw, signal) {
    this.#watched = watched;
    this.#activity = new Activity(watched, draw, signal);
    const { run } = watched.details.value;
    if (trains(run)) this.charts = new RunCharts(watched, draw, signal);
    if (run.kind === "publish") watched.details.subscribe(() => this.#readCard(signal), signal);
    if (run.kind === "publish") this.#readCard(signal);
    const clock = setInterval(() => isActive(watched.details.value.run) && this.#draw(), 1000);
    signal.addEventListener("abort", () => clearInterval(clock), { once: true });
  }

  template() {
    const { details, latest, samples } = this.#watched;
    const { run, failure, last_event: end, notes } = details.value;
    return html`
      ${this.#head(run)}
      ${notes ? html`<p class="run-notes">${notes}</p>` : nothing}
      ${trouble(details.value)}
      ${isActive(run) ? bar({ value: run.total_iterations ? run.progress_percentage : null, label: "Progress of the run", text: pace(run, latest.value) }) : nothing}
      ${trains(run) ? html`<div class="run-figures">${figures(this.#figures(run, latest.value, end))}</div>` : nothing}
      ${run.kind === "publish" ? this.#publishing(latest.value, end, failure) : made(end) ?? (outcome(end) ? html`<p>${outcome(end)}</p>` : nothing)}
      ${this.charts && (isActive(run) || this.#watched.history.iteration.length) ? this.charts.template() : nothing}
      ${trains(run) ? checkpointsCard(this.#watched) : nothing}
      ${samplesCard(samples.value, { run, wish: this.#wish, change: (values) => this.#change(values) })}
      ${this.#activity.template()}
      ${settingsCard(details.value)}`;
  }

  #head(run) {
    return pageHead({
      title: title(run),
      above: html`<a href="/runs">Runs</a> / No. ${run.number}`,
      lead: html`${badge(state(run), tone(run))} ${kind(run)} · ${run.id} · ${moment(run.created)}${this.#machines()}${run.tags.map((tag) => html` <span class="tag">${tag}</span>`)}`,
      actions: html`${buttons(this.#watched)}${menu({ label: "More about this run", items: this.#menu(run), kind: "icon-button framed" })}`,
    });
  }

  /** The machines that share it, by their names alone. */
  #machines() {
    const { hosts = [] } = this.#watched.details.value.spec;
    if (!hosts.length) return "";
    const names = hosts.slice(0, SHOWN_MACHINES).map((host) => host.split(/[=/]/)[0]);
    return ` · on ${plural(hosts.length, "machine")}: ${names.join(", ")}${hosts.length > SHOWN_MACHINES ? " …" : ""}`;
  }

  #menu(run) {
    // One array, one menu: another would close the one that is open.
    const key = `${run.state} ${permission()} ${placeInQueue(run) && runs.value.waiting}`;
    if (this.#items.key === key) return this.#items.list;
    const describe = action(async () => {
      if (await describeRun(run)) await this.#watched.refresh();
    });
    const remove = action(async () => {
      await removeRuns([run]);
      go("/runs");
    }, { failed: "The run was not deleted" });
    const list = [
      { label: "Name and notes", icon: "edit", run: describe },
      ...queueItems(run),
      trains(run) && { label: "Compare with others", icon: "compare", run: () => go(`/compare?runs=${encodeURIComponent(run.id)}`) },
      trains(run) && { label: "Train again with changes", icon: "train", run: () => go(`/train?from=${encodeURIComponent(run.id)}`) },
      isActive(run) && permission() === "default" && { label: "Notify me when it ends", icon: "bell", run: action(askToNotify) },
      canRemove(run) && { label: "Delete", icon: "trash", tone: "bad", run: remove },
    ];
    this.#items = { key, list };
    return list;
  }

  #figures(run, latest, end) {
    const { history } = this.#watched;
    const speed = latest?.tokens_per_second ?? history.last("tokens_per_second");
    const memory = latest?.memory_usage_gb ?? history.last("memory_usage_gb");
    const before = history.iteration[0] === 0 ? history.columns.validation_loss[0] : null;
    const { objective, hosts = [] } = this.#watched.details.value.spec;
    const prefers = objective === "dpo";
    const perplexity = run.validation_loss === null || prefers ? null : Math.exp(run.validation_loss);
    return [
      ["Iteration", run.total_iterations === null ? iterations(run) : html`${count(run.iteration)} <small>of ${count(run.total_iterations)}</small>`],
      ["Training loss", loss(run.training_loss)],
      ["Validation loss", loss(run.validation_loss)],
      ["Before training", loss(before), "The validation loss of the base model"],
      ["Perplexity", perplexity === null || perplexity > 1e6 ? MISSING : tick(Number(perplexity.toPrecision(4))), prefers ? "Preferences have none" : "exp(validation loss)"],
      ["Speed", speed ? html`${count(Math.round(speed))} <small>tokens/s</small>` : MISSING],
      ["Memory", memory ? html`${gigabytes(memory)}${hosts.length ? html` <small>here</small>` : nothing}` : MISSING,
        `What MLX holds${hosts.length ? " on this machine, which is the first of them" : ""}, memory kept for reuse included`],
      this.#time(run, end),
    ];
  }

  /** Only what ends in order says how long it trained; of everything else the hours of its process are known. */
  #time(run, end) {
    if (isActive(run)) return ["Elapsed", this.#elapsed(Date.now())];
    if (end?.training_seconds != null) return ["Trained for", duration(end.training_seconds), "Without validations and pauses"];
    const last = this.#watched.milestones.value?.at(-1);
    return ["Ran for", last ? this.#elapsed(last.time) : MISSING, "From the last start of its process to what it wrote last"];
  }

  /** Since its process began, the last time it did. */
  #elapsed(until) {
    const begun = this.#watched.milestones.value?.findLast(({ type }) => type === "started");
    return begun ? duration(Math.max(0, (new Date(until) - new Date(begun.time)) / 1000)) : MISSING;
  }

  #publishing(latest, end, failure) {
    const done = end?.type === "completed" ? end : null;
    return card({ title: "Publishing", body: html`${steps({ phase: latest?.phase, end: done, failure })}${result({ end: done, card: this.#published })}` });
  }

  async #readCard(signal) {
    const name = this.#watched.details.value.last_event?.model_name;
    if (!name || this.#published) return;
    this.#published = await cardOf(name, signal).catch(() => null);
    this.#draw();
  }

  #change(values) {
    Object.assign(this.#wish, values);
    this.#draw();
  }

  #draw() {
    this.changed.set(this.changed.value + 1);
  }
}

const buttons = (watched) => html`${going(watched.details.value)}${onwards(watched)}`;

/** With what a run that is over is for: its best checkpoint. */
function onwards(watched) {
  const { run, checkpoints } = watched.details.value;
  const best = checkpoints.find(({ is_best: is }) => is);
  if (!best || !["completed", "early_stopped", "stopped"].includes(run.state)) return nothing;
  return html`
    <a class="button" href="/chat?model=${encodeURIComponent(run.id)}">${icon("chat")}Ask it</a>
    <button class="button ${canResume(run) ? "" : "primary"}" @click=${() => openPublishing(watched, best)}>${icon("publish")}Publish the best</button>`;
}

/** Resuming is what most people want, but where it would fail again: a lost machine may be back. */
const going = ({ run, failure }) => html`
  ${run.state === "running" && trains(run)
    ? html`<button class="button" @click=${action(() => tell("pause", run), { failed: "The run was not paused" })}>${icon("pause")}Pause</button>` : nothing}
  ${canResume(run)
    ? html`<button class="button ${run.state === "failed" && !(failure?.code === "HOST_LOST" && run.iteration) ? "" : "primary"}" @click=${action(() => tell("resume", run), { failed: "The run does not go on" })}>${icon("play")}Resume</button>` : nothing}
  ${["running", "pending"].includes(run.state)
    ? html`<button class="button" title=${stopHint(run)} @click=${action(async () => await agreed(run) && tell("stop", run), { failed: "The run was not stopped" })}>${icon("stop")}${
      run.state === "pending" ? "Take out of the queue" : trains(run) ? "Stop and save" : "Stop"}</button>` : nothing}`;

const stopHint = (run) => (run.state === "running" && trains(run) ? "Saves a checkpoint, then ends; it can be resumed" : nothing);

async function tell(verb, run) {
  toast(await command(verb, run.id));
}

/** `details` of the run: why it ended, and the ways out. */
function trouble({ run, failure, best_checkpoints: best }) {
  const cutOff = run.state === "interrupted";
  if (!cutOff && run.state !== "failed") return nothing;
  const id = encodeURIComponent(run.id);
  const remedy = trains(run) ? "Resume goes on from the last state it saved." : "Start it again.";
  const told = cutOff
    ? { error: "Its process ended without a word: it was killed, or the machine was switched off.", suggestion: remedy }
    : failure ?? { error: "No reason is known", suggestion: "Its log, below, may say more." };
  return html`
    <div class="notice" data-tone="bad" role="group" aria-label="Failure">
      ${icon("warning")}
      <div>
        <h2>${cutOff ? "The run was interrupted" : "The run failed"}</h2>
        <p>${prose(statement(told.error))}</p>
        <p>${prose(told.suggestion ?? "")}</p>
        ${trains(run) ? html`<div class="actions">
          ${!cutOff && failure?.code === "HOST_LOST" && best.length ? html`
            <a class="button small" href="/train?from=${id}&start_from=${id}&without=hosts">${icon("play")}Go on without other machines</a>` : nothing}
          <a class="button small" href="/train?from=${id}">${icon("train")}Train again with changes</a></div>` : nothing}
      </div>
    </div>`;
}

function pace(run, latest) {
  if (run.state === "pending") return `In the queue: starts ${placeInQueue(run) ?? "soon"}`;
  const phase = latest?.phase ? sentence(latest.phase) : "Starting";
  // Before the first iteration it may say itself how far it is.
  if (phase.endsWith("%")) return phase;
  const left = run.eta_seconds === null ? "" : ` · ${duration(run.eta_seconds)} left`;
  return `${phase} · ${Math.floor(run.progress_percentage)} %${left}`;
}

function outcome(end) {
  const { reason, correct, count: asked, type } = end ?? {};
  if (type === "failed") return "";
  if (reason) return `Ended early: ${reason}`;
  return asked ? `${correct} of ${asked} answers are right (${Math.round((100 * correct) / asked)} %)` : "";
}
