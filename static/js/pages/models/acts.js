// What can be done with a model, and how it is told.

import { go } from "../../frame/router.js";
import { toast, toastError } from "../../frame/toasts.js";
import { confirm } from "../../parts/dialog.js";
import { gigabytes, plural } from "../../parts/format.js";
import { del, path, post, query } from "../../state/api.js";
import { resident } from "../../state/health.js";
import { library, refreshLibrary, refreshPulls } from "../../state/models.js";
import { runs } from "../../state/runs.js";
import { called } from "./words.js";

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Load it, wait until it is there, and say so; an adapter at its best checkpoint, or at that of `iteration`. */
export async function load(model, { iteration = null } = {}) {
  const of = iteration === null ? {} : { iteration };
  const wish = model.adapter ? { training_id: model.name, ...of } : { model_name: model.name };
  try {
    await post("/api/model/load", wish);
    await loaded();
  } catch (error) {
    if (error.code !== "OUT_OF_MEMORY" || !(await agreedToForce(model, error))) throw error;
    await post("/api/model/load", { ...wish, force: true });
    await loaded();
  }
  toast(`${called(model)} is loaded`, { action: { label: "Chat with it", run: () => go("/chat") } });
}

async function loaded() {
  for (;;) {
    await resident.refresh();
    const status = resident.value;
    if (!status) throw Object.assign(new Error("The model server has ended"), { expected: true, suggestion: "`forgellm start` starts it again." });
    if (status.error) {
      const { error, error_code: code, suggestion } = status.error;
      throw Object.assign(new Error(error), { expected: true, code, suggestion });
    }
    if (!status.is_loading) return;
    await pause(300);
  }
}

const agreedToForce = (model, error) => confirm({
  title: `Load ${called(model)} all the same?`,
  text: `Memory seems too short: ${error.message}. The model server may be ended by the system; nothing else is.`,
  yes: "Load it",
});

export async function unload() {
  await post("/api/model/unload");
  await resident.refresh();
  toast("The model was unloaded");
}

/** Delete it after asking where it must be asked; `true` once it is gone. */
export async function remove(model) {
  if (!(await agreed(model))) return false;
  const undo = model.adapter ? await removeRun(model) : await removeModel(model);
  await refreshLibrary();
  if (undo) toast(`${called(model)} is in the trash`, { action: { label: "Undo", run: undo } });
  else toast(`${called(model)} is deleted`);
  return true;
}

async function agreed(model) {
  const users = model.adapter ? [] : (library.value?.models ?? []).filter(({ adapter }) => adapter?.base_model === model.name);
  const needed = users.length
    ? `${plural(users.length, "adapter was", "adapters were")} trained on it and cannot be used without it. ` : "";
  if (model.kind === "cached") {
    return confirm({
      title: `Delete ${called(model)} for good?`,
      text: `${needed}${gigabytes(model.size_gb)} are freed. It can be pulled again.`,
      yes: "Delete it",
      tone: "bad",
    });
  }
  return !needed || confirm({ title: `Delete ${called(model)}?`, text: `${needed}It goes to the trash.`, yes: "Delete it", tone: "bad" });
}

async function removeRun({ name }) {
  await del(path`/api/runs/${name}`);
  runs.refresh();
  return undoing(() => post(path`/api/runs/${name}/restore`));
}

async function removeModel({ name, kind }) {
  const address = path`/api/models/${name}`;
  const { restore } = await del(kind === "cached" ? query(address, { for_good: true }) : address, { patience: 0 });
  return restore && undoing(() => post("/api/models/restore", { entry: restore }));
}

const undoing = (restore) => async () => {
  try {
    const { message } = await restore();
    await refreshLibrary();
    runs.refresh();
    toast(message);
  } catch (error) {
    toastError(error, "It was not brought back");
  }
};

/** Copy the model that ships with ForgeLLM to the others. */
export async function bringBuiltIn() {
  await post("/api/models/built-in");
  await refreshLibrary();
}

/** Begin a download, or go on with one. */
export async function pull(name) {
  await post("/api/models/pull", { name });
  await refreshPulls();
}

/** Cancel a download that goes on; forget one that is over, with what had come in part. */
export async function drop({ id }) {
  await del(path`/api/models/pulls/${id}`);
  await refreshPulls();
}
