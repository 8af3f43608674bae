// What is wrong with the servers, told above every page for as long as it is wrong.

import { html, nothing, render } from "lit-html";
import { moment } from "../parts/format.js";
import { icon } from "../parts/icons.js";
import { prose } from "../parts/prose.js";
import { reachable } from "../state/api.js";
import { health } from "../state/health.js";
import { Store, watch } from "../state/store.js";

const closed = new Store(null);
let answered = null;

export function startBanner() {
  const place = document.getElementById("banner");
  reachable.subscribe((yes) => (answered = yes ? null : new Date()));
  watch([reachable, health, closed], () => render(content(), place));
}

function content() {
  if (reachable.value === false) {
    const since = answered ? ` What is shown here is as of ${moment(answered)}.` : "";
    return banner("bad", `The web server does not answer.${since} Start it with \`forgellm start\`; this page goes on by `
      + "itself once it is back. A run that trains is not disturbed: it has a process of its own.");
  }
  const crash = health.value?.model_server_crash;
  if (!crash || closed.value === crash.time) return nothing;
  return banner(crash.given_up ? "bad" : "waiting", story(crash), () => closed.set(crash.time));
}

const banner = (tone, words, close) => html`
  <div class="banner" data-tone=${tone} role=${tone === "bad" ? "alert" : "status"}>
    ${icon("warning")}<p>${prose(words)}</p>
    ${close ? html`<button class="icon-button" aria-label="Close" @click=${close}>${icon("close")}</button>` : nothing}
  </div>`;

function story(crash) {
  const cause = crash.signal === null
    ? `exit code ${crash.exit_code}`
    : crash.signal_name ?? `signal ${crash.signal}`;
  return `The model server crashed at ${moment(crash.time)} (${cause}). ${after(crash)}`;
}

function after(crash) {
  if (crash.given_up) {
    return "It crashed too often and is not started again: end `forgellm start` and start it anew, "
      + "then load a smaller model. Runs are not disturbed.";
  }
  return health.value.components.model_server === "running"
    ? "It runs again, with whatever model was loaded. Runs were not disturbed."
    : "It is being started again. Runs are not disturbed.";
}
