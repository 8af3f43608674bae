// The panel of the run on display: state, figures, failure, chart, checkpoints. Clicks are handled elsewhere.

import { Chart } from "./chart.js";
import { showCheckpoints } from "./checkpoints.js";
import { byId, make, setProse, setState, setText } from "./dom.js";
import { count, duration, gigabytes, iterations, kind, loss, moment, state, statement, title, tone }
  from "./format.js";
import { isActive, trains } from "./shown.js";

const RESUMABLE = new Set(["paused", "interrupted", "stopped", "failed"]);
const CUT_OFF = {
  title: "The run was interrupted",
  error: "Its process ended without a word: it was killed, or the machine was switched off.",
};

export class RunPanel {
  #chart = new Chart(byId("plot"), byId("legend"), byId("reading"));
  #id = null;
  #state = null;
  #checkpoints = null;

  show(shown) {
    const { run, details, status, history } = shown;
    if (run.id !== this.#id) this.#begin(shown);
    // What a command answered is true until it has taken effect.
    if (run.state !== this.#state) setText(byId("told"), "");
    this.#state = run.state;
    setText(byId("run-title"), title(run));
    const about = [`No. ${run.number}`, kind(run), run.id, moment(run.created)];
    setText(byId("run-about"), about.join(" · "));
    setState(byId("run-state"), [state(run), ...phase(run, status)].join(", "), tone(run));
    setText(byId("run-pace"), pace(run, status));
    showFailure(run, details.failure);
    showProgress(run, details);
    showButtons(run);
    byId("losses").hidden = byId("checkpoints").hidden = byId("picture").hidden = !trains(run);
    showOutcome(details);
    if (!trains(run)) return;
    this.#chart.show(history.rows, run, shown.best);
    if (details.checkpoints !== this.#checkpoints) showCheckpoints(details);
    this.#checkpoints = details.checkpoints;
  }

  #begin({ run, path }) {
    this.#id = run.id;
    byId("log").open = false;
    byId("picture").href = `${path}/dashboard.png`;
    this.#state = null;
  }
}

function phase(run, status) {
  return isActive(run) && run.state !== "pending" ? [status.phase ?? "starting"] : [];
}

function pace(run, status) {
  if (run.state === "pending") return "waits for the run before it";
  if (!isActive(run)) return "";
  const speed = measured(status.tokens_per_second, (value) => `${count(Math.round(value))} tokens/s`);
  const memory = measured(status.memory_usage_gb, (value) => `${gigabytes(value)} of memory`);
  return [...speed, ...memory].join(", ");
}

function showFailure(run, failure) {
  const cutOff = run.state === "interrupted";
  byId("failure").hidden = !cutOff && run.state !== "failed";
  const remedy = trains(run) ? "Resume goes on from the last state it saved." : "Start it again.";
  const told = cutOff ? { ...CUT_OFF, suggestion: remedy } : failure ?? {};
  setText(byId("failure-title"), told.title ?? `The run failed${told.code ? `: ${told.code}` : ""}`);
  setProse(byId("failure-error"), statement(told.error ?? "No reason is known"));
  setProse(byId("failure-suggestion"), told.suggestion ?? "The end of its log, below, may say more.");
}

function showProgress(run, details) {
  const bar = byId("run-progress"), known = run.total_iterations !== null;
  bar.max = 100;
  if (known || !isActive(run)) bar.value = run.progress_percentage;
  else bar.removeAttribute("value");
  setText(byId("run-percent"), known || !isActive(run) ? `${Math.floor(run.progress_percentage)} %` : "");
  const took = details.last_event?.training_seconds;
  const spent = measured(took, (seconds) => ["Trained for", duration(seconds)]);
  const time = isActive(run) ? [["Time left", duration(run.eta_seconds)]] : spent;
  if (!trains(run)) return showFigures([...source(details.spec), ...steps(run), ...time]);
  const losses = [["Training loss", loss(run.training_loss)], ["Validation loss", loss(run.validation_loss)]];
  showFigures([["Iteration", iterations(run)], ...time, ...losses]);
}

/** What a publish run publishes. */
function source({ run, iteration }) {
  return run ? [["Iteration", count(iteration)], ["Of run", run]] : [];
}

function steps(run) {
  return run.total_iterations === null ? [] : [["Step", iterations(run)]];
}

/** Values change in their places, so that what someone marked or listens to stays. */
function showFigures(figures) {
  const list = byId("figures");
  while (list.children.length > figures.length) list.lastChild.remove();
  figures.forEach(([name, value], place) => {
    if (!list.children[place]) list.append(make("div", {}, make("dt"), make("dd")));
    const [term, description] = list.children[place].children;
    setText(term, name);
    setText(description, value);
  });
}

function measured(value, write) {
  return value === null || value === undefined ? [] : [write(value)];
}

function showButtons(run) {
  const focused = document.activeElement;
  byId("pause").hidden = !(run.state === "running" && trains(run));
  byId("resume").hidden = !(RESUMABLE.has(run.state) && trains(run));
  byId("stop").hidden = !["running", "pending"].includes(run.state);
  setText(byId("stop"), run.state === "pending" ? "Take out of the queue" : "Stop");
  // A button that goes takes the focus with it: keyboards go on at the run's title.
  if (focused.hidden) byId("run-title").focus();
}

function showOutcome({ run, last_event: end }) {
  const words = run.state === "failed" ? "" : outcome(end ?? {});
  byId("outcome").hidden = !words;
  setText(byId("outcome"), words);
}

function outcome({ reason, published_model_path: place, correct, count: asked }) {
  if (reason) return `Ended early: ${reason}`;
  if (place) return `Published as ${place}`;
  return asked ? `${correct} of ${asked} answers are right (${Math.round((100 * correct) / asked)} %)` : "";
}
