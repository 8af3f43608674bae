// An upload: fetch tells nothing of how far it is, XMLHttpRequest does.

import { Refused } from "../../state/api.js";

const CUT_OFF = {
  expected: true,
  suggestion: "Nothing of it was kept. See that the web server runs and that there is room on its disk, and send it again.",
};

/** Send files to a dataset; resolves with the server's answer. `progress(share)` is between 0 and 1. */
export function send({ name, files, append }, { progress, signal }) {
  const form = new FormData();
  form.append("name", name);
  form.append("append", String(append));
  for (const { file, name: as } of files) form.append("file", file, as);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/datasets");
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-Forge-Request", "1");
    request.upload.addEventListener("progress", ({ loaded, total }) => total && progress(loaded / total));
    request.addEventListener("load", () => {
      const answer = request.response;
      if (answer?.success) resolve(answer);
      else reject(answer ? new Refused(answer) : cutOff());
    });
    request.addEventListener("error", () => reject(cutOff()));
    request.addEventListener("abort", () => reject(new DOMException("The upload was cancelled", "AbortError")));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}

const cutOff = () => Object.assign(new Error("The upload was cut off"), CUT_OFF);
