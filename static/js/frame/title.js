// The title of the window: how far the run is, what is shown, which workspace.

import { active, trains } from "../state/runs.js";
import { watch } from "../state/store.js";
import { heading } from "./router.js";

export function startTitle() {
  watch([active, heading], () => {
    const run = active.value;
    const progress = run && trains(run) && run.state !== "pending" ? `${Math.floor(run.progress_percentage)} % · ` : "";
    document.title = `${progress}${heading.value} – ${document.body.dataset.workspace} – ForgeLLM`;
  });
}
