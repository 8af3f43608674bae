// Bringing files in: the place where they are dropped, and the dialog that names them and sends them.

import { html, nothing } from "lit-html";
import { toast } from "../../frame/toasts.js";
import { action } from "../../parts/action.js";
import { openDialog } from "../../parts/dialog.js";
import { switchField, textField } from "../../parts/fields.js";
import { plural } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { bar } from "../../parts/progress.js";
import { chosen, dropped, KINDS, nameFor, sorted } from "./files.js";
import { send } from "./sending.js";
import { size } from "./sizes.js";

const LISTED = 6;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Where files are dropped; `add(files)` takes them. */
export const dropZone = ({ add, large = false, words = "Drop files or a folder here" }) => html`
  <section class="drop ${large ? "large" : ""}" aria-label="Drop files"
    @dragover=${over} @dragleave=${leave} @drop=${action((event) => take(event, add), { failed: "The files were not read" })}>
    ${icon("upload")}
    <div><p><b>${words}</b></p><p class="quiet">${KINDS.map((kind) => kind.slice(1)).join(", ")}. They stay on this machine.</p></div>
    <div class="actions">${picker({ label: "Choose files", add })}${picker({ label: "Choose a folder", folder: true, add })}</div>
  </section>`;

const picker = ({ label, folder = false, add }) => html`
  <label class="button picker">${icon(folder ? "folder" : "file")}${label}
    <input type="file" class="unseen" multiple accept=${folder ? nothing : KINDS.join(",")} ?webkitdirectory=${folder}
      @change=${(event) => pick(event.target, add)}></label>`;

function over(event) {
  event.preventDefault();
  event.currentTarget.classList.add("over");
}

function leave(event) {
  if (!event.currentTarget.contains(event.relatedTarget)) event.currentTarget.classList.remove("over");
}

async function take(event, add) {
  event.currentTarget.classList.remove("over");
  add(await dropped(event.dataTransfer));
}

function pick(input, add) {
  const files = chosen(input);
  input.value = "";
  if (files.length) add(files);
}

/**
 * The dialog. `files` may be null, then it asks for some; `taken` are the names of datasets that there are; `into` is
 * the dataset that the files are added to, where that is settled. `added(name)` is called once they are there.
 */
export function addFiles({ files = null, taken = [], into = null, added }) {
  const wish = { name: into ?? "", append: into !== null, into, taken, share: null, taken_files: [], refused: [] };
  const sending = new AbortController();
  const dialog = openDialog({
    title: into === null ? "Add a dataset" : `Add files to ${into}`,
    wide: true,
    body: (self) => (wish.taken_files.length || wish.refused.length ? staged(wish, self) : dropZone({ add: put, large: true })),
    actions: (self) => html`
      <button class="button" @click=${() => self.close()}>Cancel</button>
      <button class="button primary" ?disabled=${!ready(wish)}
        @click=${action(() => upload(wish, { dialog: self, signal: sending.signal, added }), { failed: "The files were not added" })}>${icon("upload")}Add</button>`,
  });
  function put(brought) {
    const { taken: usable, refused } = sorted(brought);
    Object.assign(wish, { taken_files: usable, refused, name: wish.name || nameFor(brought) });
    dialog.draw();
    dialog.element.querySelector("input[name=dataset_name]")?.focus();
  }
  dialog.closed.then(() => sending.abort());
  if (files) put(files);
}

const ready = (wish) => wish.taken_files.length > 0 && !problem(wish) && wish.share === null;

function problem({ name, append, into, taken }) {
  if (!name) return "Give it a name.";
  if (!NAME.test(name)) return "Letters, digits, dots, hyphens and underscores; begin with a letter or digit.";
  return into === null && !append && taken.includes(name) ? "There is a dataset of that name. Choose another, or add to it." : "";
}

function staged(wish, dialog) {
  const change = (values) => {
    Object.assign(wish, values);
    dialog.draw();
  };
  const there = wish.into === null && wish.taken.includes(wish.name);
  return html`
    ${wish.into === null ? html`
      ${textField({ name: "dataset_name", label: "Name", value: wish.name, problem: problem(wish), disabled: wish.share !== null,
        hint: "The folder under dataset/ that the files go to.", change: (name) => change({ name, append: false }) })}
      ${there ? switchField({ name: "append", label: `Add to ${wish.name}`, value: wish.append, hint: "Files of the same name are refused, not replaced.",
        change: (append) => change({ append }) }) : nothing}` : nothing}
    ${listed(wish)}
    ${wish.share === null ? nothing : bar({ value: 100 * wish.share, label: "Upload", text: wish.share < 1 ? `${Math.floor(100 * wish.share)} %` : "Writing …" })}`;
}

const listed = ({ taken_files: files, refused }) => html`
  <h3>${plural(files.length, "file")}, ${size(files.reduce((sum, { file }) => sum + file.size, 0))}</h3>
  <ul class="brought">
    ${files.slice(0, LISTED).map(({ file, name }) => html`<li>${icon("file")}<span>${name}</span><small>${size(file.size)}</small></li>`)}
    ${files.length > LISTED ? html`<li class="quiet">and ${plural(files.length - LISTED, "more file", "more files")}</li>` : nothing}
  </ul>
  ${refused.length ? html`
    <h3>${plural(refused.length, "file is", "files are")} left out</h3>
    <ul class="brought">
      ${refused.slice(0, LISTED).map(({ path, reason }) => html`<li>${icon("close")}<span>${path}</span><small>${reason}</small></li>`)}
      ${refused.length > LISTED ? html`<li class="quiet">and ${refused.length - LISTED} more</li>` : nothing}
    </ul>` : nothing}`;

async function upload(wish, { dialog, signal, added }) {
  const progress = (share) => {
    wish.share = share;
    dialog.draw();
  };
  progress(0);
  try {
    const { dataset } = await send({ name: wish.name, files: wish.taken_files, append: wish.append }, { progress, signal });
    toast(`${plural(wish.taken_files.length, "file is", "files are")} in ${dataset}`);
    dialog.close();
    added(dataset);
  } finally {
    wish.share = null;
    dialog.draw();
  }
}
