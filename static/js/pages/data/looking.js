// What the server finds in one dataset: its files, the report on all rows, and pages of rows and of tokens. Of several
// answers to one question only the last counts.

import { del, get, put, query } from "../../state/api.js";
import { Store } from "../../state/store.js";
import { api } from "./addresses.js";
import { reported } from "./reporting.js";

const PATIENCE = 70_000;
export const ROWS = 20;
export const SHOWN = 5;

export class Looking {
  described = new Store(null);
  report = new Store({ busy: true, progress: null, stage: "rows", answer: null, error: null });
  rows = new Store(null);
  tokens = new Store(null);
  rowsAt = { file: null, offset: 0, problems: false };
  tokensAt = { file: null, offset: 0 };
  #latest = new Map();
  #wish;
  #signal;

  /** `wish` has the `model` and the `length` that it is looked at with. Ends with `signal`. */
  constructor(name, wish, signal) {
    [this.name, this.#wish, this.#signal] = [name, wish, signal];
  }

  get stores() {
    return [this.described, this.report, this.rows, this.tokens];
  }

  async describe() {
    this.described.set(await get(api(this.name), this.#options));
  }

  /** Why no such max_seq_length can be; "" where it can. */
  wrongLength() {
    const { length } = this.#wish;
    if (length === null) return "";
    return Number.isInteger(length) && length >= 2 && length <= 2 ** 20 ? "" : "A whole number from 2";
  }

  /** Have every row checked, then the tokens counted; what was known before stays meanwhile. */
  async check() {
    if (this.wrongLength()) return;
    const now = this.#begin("report");
    const { model, length } = this.#wish;
    const show = (values) => now() && this.report.set({ ...this.report.value, ...values });
    const progress = (percentage) => show({ progress: percentage });
    show({ busy: true, stopped: false, progress: null, stage: "rows", error: null });
    try {
      // What the list of datasets counts is the report without a model, and it is there first.
      const plain = await reported(this.name, {}, { progress, signal: this.#signal, wanted: now });
      if (!model) return show({ busy: false, answer: plain });
      show({ stage: "tokens", progress: null, answer: this.report.value.answer?.tokens ? this.report.value.answer : plain });
      const answer = await reported(this.name, { model, length }, { progress, signal: this.#signal, wanted: now });
      show({ busy: false, answer });
    } catch (error) {
      if (this.#signal.aborted) return;
      if (!error.expected) console.error(error);
      show({ busy: false, error });
    }
  }

  /** Wait for the report no longer, and have it made no further. */
  async stopChecking() {
    this.#begin("report");
    const { stage } = this.report.value, { model, length } = this.#wish;
    this.report.set({ ...this.report.value, busy: false, stopped: true });
    await del(query(api(this.name, "/report"), stage === "rows" ? {} : { model, max_seq_length: length }), this.#options);
  }

  readRows(values = {}) {
    Object.assign(this.rowsAt, values);
    return this.#read(this.rows, "rows", query(api(this.name, "/rows"), { ...this.rowsAt, file: this.rowsFile, limit: ROWS }));
  }

  /** The file whose rows are shown, at first one that is trained on; null for documents. */
  get rowsFile() {
    const { files } = this.described.value;
    return this.rowsAt.file ?? (files.find(({ part }) => part === "train") ?? files[0])?.file ?? null;
  }

  readTokens(values = {}) {
    if (this.wrongLength()) return null;
    Object.assign(this.tokensAt, values);
    const { model, length } = this.#wish;
    const address = query(api(this.name, "/preview"), { model, max_seq_length: length, ...this.tokensAt, limit: SHOWN });
    return this.#read(this.tokens, "tokens", address);
  }

  /** The columns that rows of a file have, out of its first ones. */
  async columns(file) {
    const { rows } = await get(query(api(this.name, "/rows"), { file, limit: ROWS }), this.#options);
    return [...new Set(rows.flatMap(({ values }) => Object.keys(values ?? {})))];
  }

  /** Change what was decided; everything is looked at anew. */
  async decide(decided) {
    await put(api(this.name, "/decisions"), decided, this.#options);
    await this.anew();
  }

  /** Leave lines of a file out, or take them in again; 0 is all of it. */
  leaveOut(file, lines, out) {
    const { excluded } = this.described.value.decisions;
    const kept = (excluded[file] ?? []).filter((line) => !lines.includes(line));
    return this.decide({ excluded: { ...excluded, [file]: out ? [...kept, ...lines] : kept } });
  }

  /** Leave the lines of several files out: [{file, line}]. */
  leaveAllOut(places) {
    const excluded = structuredClone(this.described.value.decisions.excluded);
    for (const { file, line } of places) excluded[file] = [...(excluded[file] ?? []), line ?? 0];
    return this.decide({ excluded });
  }

  async anew() {
    await this.describe();
    this.check();
    if (this.rows.value) this.readRows();
    if (this.tokens.value && this.#wish.model) this.readTokens();
  }

  get #options() {
    return { signal: this.#signal, patience: PATIENCE };
  }

  #begin(question) {
    const mark = Symbol(question);
    this.#latest.set(question, mark);
    return () => this.#latest.get(question) === mark && !this.#signal.aborted;
  }

  async #read(store, question, address) {
    const now = this.#begin(question);
    store.set({ answer: store.value?.answer ?? null, error: null, busy: true });
    try {
      const answer = await get(address, this.#options);
      if (now()) store.set({ answer, error: null, busy: false });
    } catch (error) {
      if (!error.expected) console.error(error);
      if (now()) store.set({ answer: null, error, busy: false });
    }
  }
}
