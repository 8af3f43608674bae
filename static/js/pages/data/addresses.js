// Where datasets are, on the page and in the API.

import { path } from "../../state/api.js";

export const address = (name) => path`/data/${name}`;

export const api = (name, rest = "") => path`/api/datasets/${name}` + rest;

/** The page that sets a run up on a dataset; `more` are further fields of it. */
export const toTrain = (name, more = {}) => `/train?${new URLSearchParams({ dataset: name, ...more })}`;
