/** Elementary functions. `d` is the gradient of the output, `x` the input, `y` the output. */
import type { Rules } from "../rule.ts";
import { elementwise, type Site } from "./elementwise.ts";

const call = ({ context }: Site, op: string, value: string): string => context.emit(op, [value]);

const square = ({ mul }: Site, value: string): string => mul(value, value);

/** d * f(x) */
const slopeOp = (op: string) => elementwise((site) => site.mul(site.d, call(site, op, site.x)));

/** d / sqrt(of) */
const overRoot = (of: (site: Site) => string) => elementwise((site) => site.div(site.d, call(site, "Sqrt", of(site))));

const oneMinusSquare = (site: Site): string => site.sub(site.c(1), square(site, site.x));
const onePlusSquare = (site: Site, value = site.x): string => site.add(site.c(1), square(site, value));

/** Elementwise functions with a slope that is written with a few others. */
export const functionRules: Rules = {
  Abs: slopeOp("Sign"),
  Reciprocal: elementwise((site) => call(site, "Neg", site.mul(site.d, square(site, site.y)))),
  Sin: slopeOp("Cos"),
  Cos: elementwise((site) => call(site, "Neg", site.mul(site.d, call(site, "Sin", site.x)))),
  Tan: elementwise((site) => site.mul(site.d, onePlusSquare(site, site.y))),
  Asin: overRoot(oneMinusSquare),
  Acos: elementwise((site) => call(site, "Neg", site.div(site.d, call(site, "Sqrt", oneMinusSquare(site))))),
  Atan: elementwise((site) => site.div(site.d, onePlusSquare(site))),
  Sinh: slopeOp("Cosh"),
  Cosh: slopeOp("Sinh"),
  Asinh: overRoot((site) => onePlusSquare(site)),
  Acosh: overRoot((site) => site.sub(square(site, site.x), site.c(1))),
  Atanh: elementwise((site) => site.div(site.d, oneMinusSquare(site))),
};
