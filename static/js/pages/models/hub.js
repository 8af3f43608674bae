// The Hub: searching it while one types, and getting a model from it.

import { html, nothing, render } from "lit-html";
import { bind } from "../../frame/keys.js";
import { setQuery } from "../../frame/router.js";
import { action } from "../../parts/action.js";
import { empty } from "../../parts/empty.js";
import { searchField, segmented } from "../../parts/fields.js";
import { day, gigabytes, MISSING, short, statement } from "../../parts/format.js";
import { icon } from "../../parts/icons.js";
import { badge, pageHead } from "../../parts/page.js";
import { skeleton } from "../../parts/progress.js";
import { sorter, table } from "../../parts/table.js";
import { get, query as withQuery } from "../../state/api.js";
import { library, pulls, refreshLibrary, refreshPulls } from "../../state/models.js";
import { Store, watch } from "../../state/store.js";
import { pull } from "./acts.js";
import { pullsCard } from "./pulls.js";
import { address, fitBadge, hubAddress } from "./words.js";

const PAUSE = 350;
const SHOWN = 40;
const ID = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

export async function openHub({ element, query, signal }) {
  const wish = { words: query.get("q") ?? "", only: query.get("only") === "all" ? "all" : "mlx" };
  const found = new Store(null);
  const sorting = sorter({ draw: () => draw() });
  const look = looking(wish, found, signal);
  const change = (values) => {
    Object.assign(wish, values);
    setQuery({ q: wish.words, only: wish.only === "all" ? "all" : null });
    look();
    draw();
  };
  const draw = watch([found, library, pulls], () => render(page({ wish, found: found.value, change, sorting, again: look }), element), signal);
  bind("/", { title: "Search the Hub", run: () => element.querySelector("input[type=search]")?.focus() }, signal);
  look({ at: 0 });
  await Promise.all([refreshLibrary({ signal }), refreshPulls()]);
}

/** Asks a moment after the last change; an answer to an earlier question is dropped. */
function looking(wish, found, signal) {
  let timer = null, asking = new AbortController();
  signal.addEventListener("abort", () => (clearTimeout(timer), asking.abort()));
  const ask = async () => {
    asking.abort();
    asking = new AbortController();
    const mine = asking.signal;
    try {
      const address = withQuery("/api/hub/search", { q: wish.words, limit: SHOWN, only_mlx: wish.only === "mlx" });
      const answer = await get(address, { signal: mine });
      if (!mine.aborted) found.set({ ...answer, words: wish.words });
    } catch (error) {
      if (!mine.aborted) found.set({ error });
    }
  };
  return ({ at = PAUSE } = {}) => {
    clearTimeout(timer);
    timer = setTimeout(ask, at);
  };
}

function page({ wish, found, change, sorting, again }) {
  return html`
    ${pageHead({ above: html`<a href="/models">Models</a>`, title: "Get a model", lead: "From the Hugging Face Hub into its cache on this machine. Weights, tokenizer and settings only, never code." })}
    ${pullsCard(pulls.value)}
    <div class="tools">
      ${searchField({ name: "hub", label: "Name or part of it", value: wish.words, change: (words) => change({ words: words.trim() }) })}
      ${segmented({ name: "converted", label: "Which models", value: wish.only, change: (only) => change({ only }), choices: [
        { value: "mlx", label: "For MLX", hint: "Converted for MLX, also quantized" },
        { value: "all", label: "All", hint: "Any language model with safetensors" },
      ] })}
    </div>
    <div role="status" class="hub-found">${results({ wish, found, sorting, again })}</div>`;
}

function results({ wish, found, sorting, again }) {
  const typed = ID.test(wish.words) && !found?.models?.some(({ name }) => name === wish.words) ? asTyped(wish.words) : nothing;
  if (!found) return skeleton(8);
  if (found.error) return [typed, unreachable(found.error, again)];
  if (!found.models.length) return typed === nothing ? noneLikeThat(wish) : typed;
  const limit = found.machine.memory_limit_gb;
  return html`${typed}<div class="card flush">${table({
    label: "Models on the Hub",
    rows: found.models,
    sorting,
    key: ({ name }) => name,
    href: ({ name }) => hubAddress(name),
    columns: [
      { key: "name", label: "Model", kind: "words model-name", cell: nameCell, sort: (m) => m.name.split("/").pop() },
      { key: "downloads", label: "Downloads", kind: "number", wide: true, hint: "In the last 30 days", cell: (m) => (m.downloads === null ? MISSING : short(m.downloads)), sort: (m) => m.downloads },
      { key: "updated", label: "Changed", kind: "number", wide: true, cell: (m) => (m.updated_at ? day(m.updated_at) : MISSING), sort: (m) => m.updated_at },
      { key: "licence", label: "Licence", kind: "words roomy", wide: true, cell: (m) => m.licence ?? MISSING, sort: (m) => m.licence },
      { key: "size", label: "Size", kind: "number", cell: (m) => (m.size_gb === null ? MISSING : gigabytes(m.size_gb)), sort: (m) => m.size_gb },
      { key: "chat", label: "To chat", hint: "Memory it takes to chat with it", cell: (m) => fitBadge(m.chat, limit, "chatting"), sort: (m) => m.chat?.needed_gb ?? null },
      { key: "do", label: html`<span class="unseen">What can be done</span>`, kind: "tight", cell: (m) => html`<span class="model-actions">${todo(m)}</span>` },
    ],
  })}</div>`;
}

const nameCell = (model) => {
  const [owner, name] = model.name.includes("/") ? model.name.split("/") : ["", model.name];
  const about = [owner, model.architecture?.replace(/For\w+$/, ""), model.quantization, model.model_type].filter(Boolean).join(" · ");
  return html`<b>${name}</b>${model.gated ? html` ${badge("Terms", "waiting", "Its terms have to be accepted on the Hub first")}` : nothing}<small>${about}</small>`;
};

/** Get it, or what became of that already. */
export function todo({ name }) {
  const here = library.value?.models.some((model) => model.name === name && model.kind === "cached");
  const going = pulls.value?.find((pull) => pull.name === name);
  const whose = html`<span class="unseen"> ${name}</span>`;
  if (going?.state === "running") return html`<span class="quiet">${percent(going)}</span>`;
  if (here) return html`<a class="button small" href=${address(name)}>${icon("check")}Here${whose}</a>`;
  const again = going && going.state !== "completed";
  return html`<button class="button small" @click=${action(() => pull(name), { failed: `${name} was not downloaded` })}>${again ? "Resume" : "Get"}${whose}</button>`;
}

const percent = ({ downloaded_bytes: done, total_bytes: total }) => (total ? `${Math.floor((100 * done) / total)} %` : "…");

const asTyped = (name) => html`
  <div class="as-typed"><p><b>${name}</b> <span class="quiet">as you typed it</span></p>${todo({ name })}</div>`;

const unreachable = (error, again) => empty({
  icon: "warning",
  title: statement(error.code === "HUB_UNREACHABLE" ? "The Hub cannot be reached" : error.message).replace(/\.$/, ""),
  text: error.code === "HUB_UNREACHABLE"
    ? "Everything that is on this machine works without it. Check the network; `HF_HUB_OFFLINE` and `HF_ENDPOINT` decide as well."
    : error.suggestion,
  actions: html`<button class="button primary" @click=${() => again({ at: 0 })}>${icon("refresh")}Try again</button><a class="button" href="/models">Models that are here</a>`,
});

const noneLikeThat = ({ words, only }) => empty({
  icon: "search",
  title: `Nothing on the Hub is called ${words}`,
  text: only === "mlx" ? "Models that were not converted are under All. A whole name such as `owner/model` can be got as it is typed." : "Try a part of the name.",
});
