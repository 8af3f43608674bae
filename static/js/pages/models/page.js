// Models: those that are here, one of them, or those on the Hub, by what stands behind the question mark.

import { openHub } from "./hub.js";
import { openHubModel } from "./hub_model.js";
import { openList } from "./list.js";
import { openModel } from "./model.js";

export function open(place) {
  const { query } = place;
  if (query.has("model")) return openModel(place, query.get("model"));
  if (query.has("hub")) return openHubModel(place, query.get("hub"));
  return query.get("view") === "hub" ? openHub(place) : openList(place);
}
