/** Layers that multiply with a matrix, or pick its rows. */
import type { Layer } from "./building.ts";
import { glorot, type Init, normal, zeros } from "./init.ts";

/** What a dense layer has besides its width. */
export interface DenseOptions {
  /** True by default. */
  readonly bias?: boolean;
  readonly init?: Init;
}

/** x W + b along the last axis: [..., n] to [..., units]. Weight `dense.weight` [n, units]. */
export const dense = (units: number, { bias = true, init = glorot }: DenseOptions = {}): Layer => {
  return (outer, x) => {
    const build = outer.inside("dense");
    const width = build.length(x, -1);
    const weight = build.weight("weight", [width, units], init, { fanIn: width, fanOut: units });
    if (!bias) return build.emit("MatMul", [x, weight]);
    const offset = build.weight("bias", [units], zeros);
    if (build.rank(x) === 2) return build.emit("Gemm", [x, weight, offset]);
    return build.emit("Add", [build.emit("MatMul", [x, weight]), offset]);
  };
};

/** Rows of a table: int64 [...] below `count` to float32 [..., width]. Weight `embedding.weight` [count, width]. */
export const embedding = (count: number, width: number, init: Init = normal(0.02)): Layer => {
  return (outer, ids) => {
    const build = outer.inside("embedding");
    const table = build.weight("weight", [count, width], init, { fanIn: count, fanOut: width });
    return build.emit("Gather", [table, ids], { axis: 0 });
  };
};

/**
 * down(activation(gate(x)) * up(x)), three products without bias (Shazeer, arXiv:2002.05202). `downInit` is for the last
 * one, `init` unless told.
 */
export const gated = (hidden: number, activation: Layer, init: Init = glorot, downInit: Init = init): Layer => {
  return (outer, x) => {
    const build = outer.inside("mlp");
    const width = build.length(x, -1);
    const product = (name: string, value: string, units: number, first: Init) => {
      const fanIn = build.length(value, -1);
      const weight = build.weight(`${name}.weight`, [fanIn, units], first, { fanIn, fanOut: units });
      return build.emit("MatMul", [value, weight]);
    };
    const open = activation(build, product("gate", x, hidden, init));
    return product("down", build.emit("Mul", [open, product("up", x, hidden, init)]), width, downInit);
  };
};
