// What happened in a run, as sentences, and what its process wrote.

import { html, nothing, render } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { segmented } from "../../parts/fields.js";
import { count, loss, plural, sentence, statement } from "../../parts/format.js";
import { card } from "../../parts/page.js";
import { skeleton } from "../../parts/progress.js";
import { get, path } from "../../state/api.js";
import { isActive, trains } from "../../state/runs.js";

const LOG_LINES = 400;
const SHOWN = 200;
const PAUSE = 2000;
const TONES = { completed: "good", early_stopped: "good", checkpoint: "accent", failed: "bad", paused: "waiting", stopped: "quiet" };

export class Activity {
  #watched;
  #draw;
  #signal;
  #shown = "events";
  #all = false;
  #pane = document.createElement("div");
  #timer = null;

  /** `draw` draws the page again. Ends with `signal`. */
  constructor(watched, draw, signal) {
    [this.#watched, this.#draw, this.#signal] = [watched, draw, signal];
    this.#pane.className = "log-pane";
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  template() {
    const choices = [{ value: "events", label: "Events" }, { value: "log", label: "Log" }];
    return card({
      title: "Activity",
      actions: segmented({ name: "activity", label: "What is listed", value: this.#shown, choices, small: true, change: (v) => this.#choose(v) }),
      body: this.#shown === "log" ? this.#pane : this.#events(),
    });
  }

  #choose(value) {
    this.#shown = value;
    clearTimeout(this.#timer);
    if (value === "log") {
      render(skeleton(4), this.#pane);
      this.#readLog();
    }
    this.#draw();
  }

  /** The log has no events: it is read again while it is looked at and the run goes on. */
  async #readLog() {
    const { log } = await get(path`/api/runs/${this.#watched.id}/log`, { signal: this.#signal })
      .catch(({ message }) => ({ log: statement(message) }));
    if (this.#signal.aborted || this.#shown !== "log") return;
    const before = this.#pane.querySelector("pre");
    const atEnd = !before || before.scrollHeight - before.scrollTop - before.clientHeight < 30;
    const lines = log.trimEnd().split("\n");
    const text = lines.slice(-LOG_LINES).join("\n") || "The run wrote nothing to its log.";
    render(html`<pre class="log" tabindex="0" role="region" aria-label="The run's log">${text}</pre>
      ${lines.length > LOG_LINES ? html`<p class="quiet">The last ${count(LOG_LINES)} of ${plural(lines.length, "line")}.</p>` : nothing}`, this.#pane);
    const pane = this.#pane.querySelector("pre");
    if (atEnd) pane.scrollTop = pane.scrollHeight;
    if (isActive(this.#watched.details.value.run)) this.#timer = setTimeout(() => this.#readLog(), PAUSE);
  }

  #events() {
    const known = this.#watched.milestones.value;
    if (!known) return skeleton(5);
    const { run } = this.#watched.details.value;
    const words = (event) => WORDS[event.type]?.(event, run) ?? "";
    const told = known.filter((event) => words(event)).reverse();
    if (!told.length) return html`<p class="quiet">Nothing has happened yet.</p>`;
    const rows = this.#all ? told : told.slice(0, SHOWN);
    return html`
      <ol class="events" tabindex="0" aria-label="Events, the latest first">${repeat(rows, ({ seq }) => seq, (event) => html`
        <li data-tone=${TONES[event.type] ?? "plain"}><time datetime=${event.time} title=${event.time}>${clock(event.time)}</time><span>${words(event)}</span></li>`)}</ol>
      ${rows.length < told.length
        ? html`<button class="button small" @click=${() => { this.#all = true; this.#draw(); }}>Show all ${count(told.length)}</button>` : nothing}`;
  }
}

/** What an event of a run says, "" for what nobody needs to read. */
const WORDS = {
  started: ({ resume }) => (resume ? "Its process began again" : "Its process began"),
  resumed: ({ iteration }) => `Went on from iteration ${count(iteration ?? 0)}`,
  // How far a phase is stands in the head of the page.
  phase: ({ phase, total_iterations: total, share }, run) =>
    (share === undefined ? `${sentence(phase)}${total ? `: ${plural(total, trains(run) ? "iteration" : "step")}` : ""}` : ""),
  corpus: (e) => `Data: ${count(e.train_tokens ?? 0)} tokens in ${plural(e.train_sequences ?? 0, "sequence")} to train on, ${count(e.valid_tokens ?? 0)} tokens to validate on${e.split ? ` (${e.split})` : ""}`,
  validation: (e) => `Validated at ${count(e.iteration)}: ${loss(e.validation_loss)}${e.general_validation_loss == null ? "" : `, on general data ${loss(e.general_validation_loss)}`}`,
  checkpoint: (e) => `Saved the checkpoint of iteration ${count(e.iteration)}`,
  stopping: ({ command }) => (command === "pause" ? "Is pausing" : "Is stopping"),
  paused: ({ iteration }) => `Paused${iteration == null ? "" : ` at iteration ${count(iteration)}`}; its exact state is saved`,
  completed: (e) => `Completed${e.final_loss == null ? "" : `, last training loss ${loss(e.final_loss)}`}`,
  early_stopped: ({ reason }) => `Ended early: ${reason ?? "no reason is known"}`,
  stopped: ({ reason }) => `Stopped${reason ? `: ${reason}` : ""}`,
  failed: ({ error }) => `Failed: ${error ?? "no reason is known"}`,
  answers: ({ iteration }) => `Answered ${plural(iteration, "question")}`,
};

/** `14:45:03` today, with the day before that. */
function clock(text) {
  const time = new Date(text);
  const today = time.toDateString() === new Date().toDateString();
  const day = today ? {} : { day: "numeric", month: "short" };
  return time.toLocaleString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", ...day });
}
