// What the head of the page says of this machine and of its two servers, a crash of the model server too.

import { byId, setProse, setState, setText } from "./dom.js";
import { gigabytes, moment } from "./format.js";

export function showHealth({ components, system_info: system, model_server_crash: crash }) {
  setState(byId("server"), "Server running", "good");
  setState(byId("model-server"), ...modelServer(components.model_server, crash));
  setProse(byId("crash"), crash ? story(components.model_server, crash) : "");
  byId("crash").hidden = crash === null;
  setText(byId("memory"),
    `${gigabytes(system.memory_available_gb)} of ${gigabytes(system.memory_total_gb)} memory free`);
  setText(byId("disk"), `${gigabytes(system.disk_free_gb)} disk free`);
}

function modelServer(state, crash) {
  if (state === "running") return ["Model server running", "good"];
  if (state === "crashed" || crash) return ["Model server crashed", "bad"];
  return ["No model server", "quiet"];
}

function story(state, crash) {
  const cause = crash.signal === null
    ? `exit code ${crash.exit_code}`
    : crash.signal_name ?? `signal ${crash.signal}`;
  return `The model server crashed at ${moment(new Date(crash.time))} (${cause}). ${after(state, crash)}`;
}

function after(state, crash) {
  if (crash.given_up) {
    return "It crashed too often and is not started again: end `forgellm start` and start it anew, "
      + "then load a smaller model. Runs are not disturbed.";
  }
  return state === "running"
    ? "It runs again, with whatever model was loaded. Runs were not disturbed."
    : "It is being started again. Runs are not disturbed.";
}
