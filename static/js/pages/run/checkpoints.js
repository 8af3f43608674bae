// The checkpoints of a run, best first: what each was measured at, and what can be done with it.

import { html, nothing } from "lit-html";
import { count, loss, megabytes, MISSING } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { badge, card } from "../../parts/page.js";
import { table } from "../../parts/table.js";
import { isActive } from "../../state/runs.js";
import { openPublishing } from "./publish.js";

/** `watched` is the run's WatchedRun. */
export function checkpointsCard(watched) {
  const { run, checkpoints, spec } = watched.details.value;
  const none = isActive(run) ? `None yet. One is saved every ${spec.save_every} iterations.` : "This run saved none.";
  return card({
    title: "Checkpoints",
    note: checkpoints.length ? "best first" : nothing,
    kind: "flush",
    body: checkpoints.length
      ? table({ label: "Checkpoints", columns: columns(watched), rows: checkpoints, key: (c) => c.iteration })
      : html`<p class="quiet inset">${none}</p>`,
  });
}

const columns = (watched) => [
  { key: "rank", label: "Rank", kind: "tight", cell: ranked },
  { key: "iteration", label: "Iteration", kind: "number", cell: (c) => count(c.iteration) },
  {
    key: "validation", label: "Validation loss", kind: "number",
    hint: "± the standard error over the sequences of the validation set",
    cell: (c) => html`${loss(c.validation_loss)}${c.standard_error === null ? nothing : html` <small class="quiet">± ${c.standard_error.toFixed(4)}</small>`}`,
  },
  ...(watched.details.value.checkpoints.some((c) => c.general_validation_loss !== null)
    ? [{ key: "general", label: "On general data", kind: "number", wide: true, cell: (c) => loss(c.general_validation_loss) }] : []),
  { key: "size", label: "Size", kind: "number", wide: true, cell: (c) => megabytes(c.size_mb) },
  { key: "remark", label: "Remark", cell: remark },
  { key: "actions", label: html`<span class="unseen">What can be done</span>`, kind: "number", cell: (c) => buttons(watched, c) },
];

function ranked({ rank }) {
  if (rank === null) return MISSING;
  return rank <= 3 ? html`<span class="rank" title="One of the best three">${rank}</span>` : String(rank);
}

function remark({ problem, is_best, tied_with_best }) {
  if (problem) return badge(problem, "bad");
  if (is_best) return badge("Best", "good");
  return tied_with_best ? html`<span class="quiet" title="Within one standard error of the best">As good as the best</span>` : nothing;
}

function buttons(watched, checkpoint) {
  if (checkpoint.problem) return nothing;
  const { run } = watched.details.value;
  const model = encodeURIComponent(`${run.id}@${checkpoint.iteration}`);
  return html`<span class="row-actions">
    <a class="button small" href="/chat?model=${model}" aria-label="Chat with checkpoint ${checkpoint.iteration}">${icon("chat")}Chat</a>
    <button class="button small" aria-label="Publish checkpoint ${checkpoint.iteration}"
      @click=${() => openPublishing(watched, checkpoint)}>${icon("publish")}Publish</button></span>`;
}
