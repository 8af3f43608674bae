// What can be done to a run wherever it is shown: call it something, move it in the queue, put it into the trash.

import { html } from "lit-html";
import { toast } from "../frame/toasts.js";
import { del, get, patch, path, post } from "../state/api.js";
import { isActive, runs } from "../state/runs.js";
import { action } from "./action.js";
import { openDialog } from "./dialog.js";
import { areaField, textField } from "./fields.js";
import { plural, title } from "./format.js";

/** Ask for a name, notes and tags of a run. Resolves with what was written, undefined where nothing was. */
export async function describeRun({ id }) {
  const { run, notes } = await get(path`/api/runs/${id}`);
  const wish = { name: run.name, notes, tags: run.tags.join(", ") };
  const dialog = openDialog({
    title: "Name and notes",
    body: ({ close }) => html`<form class="stack" id="describe" @submit=${(event) => write(event, close)}>
      ${textField({ name: "run-name", label: "Name", value: wish.name, placeholder: title({ ...run, name: "" }),
        hint: "Shown instead of model and dataset", change: (name) => (wish.name = name) })}
      ${areaField({ name: "run-notes", label: "Notes", value: wish.notes, rows: 4, change: (text) => (wish.notes = text) })}
      ${textField({ name: "run-tags", label: "Tags", value: wish.tags, hint: "Several are separated by commas", change: (text) => (wish.tags = text) })}
    </form>`,
    actions: ({ close }) => html`
      <button class="button" @click=${() => close()}>Cancel</button>
      <button class="button primary" type="submit" form="describe">Save</button>`,
  });
  const write = (event, close) => action(async () => {
    const tags = wish.tags.split(",").map((tag) => tag.trim()).filter(Boolean);
    const written = await patch(path`/api/runs/${run.id}`, { name: wish.name.trim(), notes: wish.notes, tags });
    runs.refresh();
    close(written);
  }, { failed: "It was not written down" })(event);
  dialog.element.querySelector("input").focus();
  return dialog.closed;
}

/** Where a run stands in the queue, `next` or `after 2 others`; undefined where it does not wait. */
export function placeInQueue({ id }) {
  const before = runs.value?.waiting.indexOf(id) ?? -1;
  return before < 0 ? undefined : before ? `after ${plural(before, "other")}` : "next";
}

/** What a menu offers about that place. */
export function queueItems(run) {
  const waiting = runs.value?.waiting ?? [], place = waiting.indexOf(run.id);
  const move = (beside) => action(async () => {
    await post(path`/api/runs/${run.id}/move`, beside);
    await runs.refresh();
    toast(`${title(run)} starts ${placeInQueue(run) ?? "now"}`);
  }, { failed: "The run was not moved" });
  return place < 0 ? [] : [
    place > 0 && { label: "Start next", icon: "publish", run: move({}) },
    place > 1 && { label: "Move up in the queue", icon: "up", run: move({ before: waiting[place - 1] }) },
    place < waiting.length - 1 && { label: "Move down in the queue", icon: "down", run: move({ after: waiting[place + 1] }) },
  ];
}

/** Put runs that are over into the trash, with a way back. */
export async function removeRuns(list) {
  for (const run of list) await del(path`/api/runs/${run.id}`);
  await runs.refresh();
  const what = list.length === 1 ? title(list[0]) : `${list.length} runs`;
  const run = action(async () => {
    for (const { id } of list) await post(path`/api/runs/${id}/restore`);
    await runs.refresh();
    toast(list.length === 1 ? "The run is back" : "The runs are back");
  }, { failed: "Not everything was brought back" });
  toast(`${what} ${list.length === 1 ? "is" : "are"} in the trash`, { tone: "quiet", action: { label: "Undo", run } });
}

/** Whether a run can be put into the trash: it has no worker and waits for none. */
export const canRemove = (run) => !isActive(run);
