// The downloads: how far they are, and what can be done about them.

import { html, nothing } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { action } from "../../parts/action.js";
import { confirm } from "../../parts/dialog.js";
import { duration, gigabytes, megabytes, statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { badge, card } from "../../parts/page.js";
import { bar } from "../../parts/progress.js";
import { prose } from "../../parts/prose.js";
import { drop, pull as goOn } from "./acts.js";
import { address } from "./words.js";

const STATES = {
  running: ["Downloading", "busy"], completed: ["Here", "good"], failed: ["Failed", "bad"],
  cancelled: ["Cancelled", "quiet"], interrupted: ["Interrupted", "waiting"],
};

/** The card of all downloads; nothing where there are none. */
export const pullsCard = (list) => list?.length
  ? card({ title: "Downloads", kind: "flush", body: html`<ul class="pulls">${repeat(list, ({ id }) => id, download)}</ul>` })
  : nothing;

const download = (pull) => html`
  <li>
    <div class="pull-name"><b>${pull.name}</b>${badge(...STATES[pull.state])}</div>
    <div class="actions">${buttons(pull)}</div>
    ${pull.state === "completed" ? nothing : bar({
      value: pull.total_bytes ? pull.downloaded_bytes : pull.state === "running" ? null : 0,
      max: pull.total_bytes ?? 1,
      label: `Download of ${pull.name}`,
      tone: pull.state === "running" ? "" : "quiet",
      text: progress(pull),
    })}
    ${pull.failure ? html`<p class="pull-failure">${statement(pull.failure.error)} <span class="quiet">${prose(pull.failure.suggestion)}</span></p>` : nothing}
  </li>`;

function buttons(pull) {
  const name = html`<span class="unseen"> ${pull.name}</span>`;
  if (pull.state === "running") return html`<button class="button small" @click=${cancel(pull)}>Cancel${name}</button>`;
  if (pull.state === "completed") {
    return html`<a class="button small" href=${address(pull.name)}>Look at it${name}</a>
      <button class="icon-button" aria-label="Forget the download of ${pull.name}" @click=${action(() => drop(pull))}>${icon("close")}</button>`;
  }
  return html`<button class="button small primary" @click=${resume(pull)}>Resume${name}</button>
    <button class="button small" @click=${action(() => discard(pull))}>Discard${name}</button>`;
}

const cancel = (pull) => action(() => drop(pull), { failed: "The download was not cancelled" });
const resume = (pull) => action(() => goOn(pull.name), { failed: "The download did not go on" });

async function discard(pull) {
  const sure = !pull.downloaded_bytes || await confirm({
    title: "Discard what has come?",
    text: `${bytes(pull.downloaded_bytes)} of ${pull.name} are here, and would have to be downloaded again.`,
    yes: "Discard",
    tone: "bad",
  });
  if (sure) await drop(pull);
}

/** `1.2 GB of 8.0 GB · 12 MB/s · 9 min left` */
function progress(pull) {
  const { downloaded_bytes: done, total_bytes: total, bytes_per_second: speed, eta_seconds: left, state } = pull;
  if (total === null) return state === "running" ? "Asking the Hub …" : "Nothing has come";
  if (state === "running" && done >= total) return "Checking what has come …";
  const pace = state === "running" && speed ? ` · ${bytes(speed)}/s` : "";
  return `${bytes(done)} of ${bytes(total)}${pace}${state === "running" && left ? ` · ${duration(left)} left` : ""}`;
}

const bytes = (number) => (number < 1e9 ? megabytes(number / 1e6) : gigabytes(number / 1e9));
