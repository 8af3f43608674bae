// Reads a list of {min, max, from, to, log, space, whole}, writes what the axis names for each: [[value, pixel], …].

import { readFileSync } from "node:fs";
import { axis, named } from "../../static/js/parts/plot_axes.js";

const asked = JSON.parse(readFileSync(0, "utf8"));
const answers = asked.map(({ space, whole, ...range }) => {
  const of = axis(range);
  return named(of, { space, whole }).map((value) => [value, of.at(value), of.value(of.at(value))]);
});
process.stdout.write(JSON.stringify(answers));
