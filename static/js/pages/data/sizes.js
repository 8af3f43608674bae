// Sizes of files, which may be as small as a row.

import { count, megabytes } from "../../parts/format.js";

/** `3 KB`, `1.2 MB`; `bytes` may be a little more or less, for the API rounds. */
export const size = (bytes) => (bytes < 100_000 ? `${count(Math.max(1, Math.round(bytes / 1000)))} KB` : megabytes(bytes / 1e6));
