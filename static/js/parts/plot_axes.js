// Axes of a plot: where a value lies in pixels, and which values are named. Only figures; nothing is drawn here.

// Steps between two names, of a power of ten: an axis of whole numbers has no halves.
const STEPS = [1, 2, 2.5, 5, 10];
const WHOLE = [1, 2, 5, 10];
// What is named of each power of ten on a logarithmic axis, the most first.
const DECADES = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]];

/** Values from `min` to `max` lie between the pixels `from` and `to`; `at(value)` says where, `value(place)` what is there. */
export function axis({ min, max, from, to, log = false }) {
  const [forth, back] = log ? [Math.log10, (power) => 10 ** power] : [Number, Number];
  const low = forth(min), each = (to - from) / (forth(max) - low);
  return { min, max, log, at: (value) => from + (forth(value) - low) * each, value: (place) => back(low + (place - from) / each) };
}

/** The values that an axis names: round ones, at least `space` pixels from one another. */
export function named(of, { space, whole = false }) {
  return of.log ? powers(of, space) : rounded(of, (of.max - of.min) * space / Math.abs(of.at(of.max) - of.at(of.min)), whole);
}

function rounded({ min, max }, apart, whole) {
  if (!(apart > 0 && apart < Infinity)) return [];
  const wanted = whole ? Math.max(1, apart) : apart, power = 10 ** Math.floor(Math.log10(wanted));
  const step = power * (whole ? WHOLE : STEPS).find((one) => one * power >= wanted * 0.999999);
  const first = Math.ceil(min / step - 1e-6), last = Math.floor(max / step + 1e-6);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => Number(((first + n) * step).toPrecision(12)));
}

function powers(of, space) {
  const { min, max } = of, decade = Math.abs(of.at(10) - of.at(1));
  const first = Math.floor(Math.log10(min)), every = Math.ceil(space / decade);
  const parts = DECADES.find((some) => some.every((part, n) => Math.log10((some[n + 1] ?? 10) / part) * decade >= space)) ?? [1];
  const all = Array.from({ length: Math.ceil(Math.log10(max)) - first + 1 }, (_, n) => first + n);
  const found = all.filter((power) => power % every === 0).flatMap((power) => parts.map((part) => Number(`${part}e${power}`)))
    .filter((value) => value >= min && value <= max);
  if (max > 10 * min) return found;
  // Of less than one power of ten few are round like that: steps that have room at the dense end name more.
  const even = rounded(of, space * max * Math.LN10 / decade, false);
  return even.length > found.length ? even : found;
}
