// Having every row of a dataset checked: the server does it in the background and is asked how far it is.

import { get, post, query, Refused } from "../../state/api.js";
import { api } from "./addresses.js";

const PATIENCE = 70_000;
const INTERVAL = 400;

/**
 * The report on the dataset `name`, with tokens where a `model` is given. `progress(percentage)` is told how far it is;
 * ends with `signal`, and answers null once `wanted()` is false.
 */
export async function reported(name, { model = null, length = null }, { progress, signal, wanted = () => true }) {
  const address = query(api(name, "/report"), { model, max_seq_length: model && length });
  const options = { signal, patience: PATIENCE };
  let found = await post(address, undefined, options);
  while (wanted() && found.state !== "done") {
    if (found.state === "failed") throw new Refused({ ...found.failure, error_code: found.failure.code });
    progress(found.progress_percentage);
    await pause(INTERVAL, signal);
    // Absent is what has changed meanwhile: it is checked as it is now.
    found = await (found.state === "absent" ? post(address, undefined, options) : get(address, options));
  }
  return wanted() ? found.report : null;
}

/** Until `milliseconds` have passed, or the page is left. */
const pause = (milliseconds, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, milliseconds);
  signal.addEventListener("abort", () => [clearTimeout(timer), resolve()], { once: true });
});
