// Reads {x, column, before, from, to, width}, writes what a chart would draw of the column after it has grown from
// `before` rows, and how high it would be.

import { readFileSync } from "node:fs";
import { Blocks } from "../../static/js/parts/blocks.js";
import { extent, thinned } from "../../static/js/parts/thin.js";

const { x, column, before, from, to, width } = JSON.parse(readFileSync(0, "utf8"));
const blocks = new Blocks();
const grown = column.slice(0, before);
// The last row is measured in two events.
if (before) grown[before - 1] = null;
blocks.update(grown);
grown.splice(Math.max(0, before - 1), 1, ...column.slice(Math.max(0, before - 1)));
blocks.update(grown);
const given = { x, columns: [grown], sparse: [false], blocks: [blocks] };
const rows = { first: 0, last: x.length - 1 };
console.log(JSON.stringify({
  places: thinned(given, { from, to, width }),
  extent: extent([grown], { blocks: [blocks], ...rows }),
  positive: extent([grown], { blocks: [blocks], ...rows, positive: true }),
}));
