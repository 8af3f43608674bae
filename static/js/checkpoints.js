// The table of a run's checkpoints, best first, and the command that publishes the best.

import { byId, make, setText } from "./dom.js";
import { count, loss, megabytes, MISSING } from "./format.js";
import { isActive } from "./shown.js";

/** Show the checkpoints of a run's details. */
export function showCheckpoints({ run, checkpoints, spec }) {
  const general = checkpoints.some((checkpoint) => checkpoint.general_validation_loss !== null);
  byId("general-column").hidden = !general;
  byId("publish").hidden = !checkpoints.some((checkpoint) => checkpoint.rank !== null);
  setText(byId("publish-command"), `forgellm publish ${run.id}`);
  const rows = checkpoints.map((checkpoint) => newRow(checkpoint, general));
  byId("checkpoint-rows").replaceChildren(...(rows.length ? rows : [emptyRow(run, spec)]));
}

function emptyRow(run, { save_every: every }) {
  const words = isActive(run) ? `None yet. One is saved every ${every} iterations.` : "This run saved none.";
  return make("tr", {}, make("td", { colspan: 6, class: "words quiet" }, words));
}

function newRow(checkpoint, general) {
  const { rank, iteration, validation_loss, general_validation_loss, size_mb } = checkpoint;
  const measured = general ? [loss(validation_loss), loss(general_validation_loss)] : [loss(validation_loss)];
  const texts = [String(rank ?? MISSING), count(iteration), ...measured, megabytes(size_mb)];
  const [remark, mark] = remarkOn(checkpoint);
  const cells = texts.map((text) => make("td", {}, text));
  return make("tr", { class: mark }, ...cells, make("td", { class: "words" }, remark));
}

function remarkOn({ problem, is_best, tied_with_best }) {
  if (problem) return [problem, "bad"];
  if (is_best) return ["Best", "best"];
  return [tied_with_best ? "As good as the best" : "", null];
}
