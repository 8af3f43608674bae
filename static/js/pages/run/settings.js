// With what a run was started: every setting, and the versions it ran with.

import { html } from "lit-html";
import { setting } from "../../parts/format.js";

/** The settings as a folded card; `spec` and `versions` of /api/runs/ID. */
export const settingsCard = ({ spec, versions }) => html`
  <details class="card">
    <summary>Settings</summary>
    <dl class="settings">${[...Object.entries(spec), ...Object.entries(versions).map(([name, version]) => [`${name} version`, version])]
      .map(([name, value]) => html`<div><dt>${name.replaceAll("_", " ")}</dt><dd>${setting(value)}</dd></div>`)}</dl>
  </details>`;
