/** Layers made of layers. */
import type { Layer } from "./building.ts";

/** One after the other. */
export const sequential = (...layers: readonly Layer[]): Layer => {
  return (build, x) => layers.reduce((value, layer) => layer(build, value), x);
};

/** One after the other, all names beginning with `name`. */
export const named = (name: string, ...layers: readonly Layer[]): Layer => {
  return (build, x) => sequential(...layers)(build.inside(name), x);
};

/** x + layers(x) (He et al., arXiv:1512.03385); `shortcut` changes x where the layers change its shape. */
export const residual = (inner: Layer, shortcut: Layer = (_, x) => x): Layer => {
  return (build, x) => build.emit("Add", [shortcut(build, x), inner(build, x)]);
};
