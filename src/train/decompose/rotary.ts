/** Rotary position embedding (Su et al., arXiv:2104.09864), of ONNX from operator set 23 and of com.microsoft. */
import { floatAttribute, intAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import type { Expansion, Expansions } from "../expand.ts";
import type { Writer } from "../writer.ts";
import { given, lastLength, lengthOf, mergeHeads, splitHeads } from "./forms.ts";

/** Angles of every position of a sequence, broadcast over heads: [batch or 1, 1, length, rotated / 2]. */
export interface Angles {
  readonly cos: string;
  readonly sin: string;
}

/** (a, b) turned by its angle. */
function turned({ emit }: Writer, a: string, b: string, { cos, sin }: Angles): readonly [string, string] {
  const product = (x: string, y: string) => emit("Mul", [x, y]);
  return [emit("Sub", [product(a, cos), product(b, sin)]), emit("Add", [product(b, cos), product(a, sin)])];
}

/** Pairs are neighbours where `interleaved`, otherwise the two halves. */
function rotatedAll(writer: Writer, x: string, angles: Angles, size: number, interleaved: boolean): string {
  const { emit, emitMany, ints } = writer;
  const half = size / 2;
  if (!interleaved) {
    const [a, b] = emitMany("Split", [x, ints([half, half])], 2, { axis: -1 });
    return emit("Concat", turned(writer, a!, b!, angles), { axis: -1 });
  }
  const pairs = emit("Reshape", [x, ints([0, 0, 0, half, 2])]);
  const [a, b] = emitMany("Split", [pairs, ints([1, 1])], 2, { axis: -1 });
  const [cos, sin] = [angles.cos, angles.sin].map((value) => emit("Unsqueeze", [value, ints([-1])]));
  const both = emit("Concat", turned(writer, a!, b!, { cos: cos!, sin: sin! }), { axis: -1 });
  return emit("Reshape", [both, ints([0, 0, 0, size])]);
}

/** The first `rotated` numbers of each head of x [batch, heads, length, size] are turned; the others stay. */
export function rotate(writer: Writer, x: string, angles: Angles, rotated: number, interleaved: boolean): string {
  const { emit, emitMany, ints } = writer;
  const size = lastLength(writer, x, "the size of its heads");
  if (rotated === size) return rotatedAll(writer, x, angles, rotated, interleaved);
  const [first, rest] = emitMany("Split", [x, ints([rotated, size - rotated])], 2, { axis: -1 });
  return emit("Concat", [rotatedAll(writer, first!, angles, rotated, interleaved), rest!], { axis: -1 });
}

/** Rows of a cache [positions, rotated / 2] at the positions [batch, length], or from an offset [1] on. */
export function anglesAt(writer: Writer, caches: readonly string[], ids: string, x: string): Angles {
  const { emit, ints } = writer;
  const perSample = writer.rank(ids) === 2;
  const range = () => emit("Range", [ints(0), lengthOf(writer, x, 2), ints(1)]);
  const positions = perSample ? ids : emit("Add", [range(), ids]);
  const rows = caches.map((cache) => {
    const found = emit("Gather", [cache, positions]);
    return emit("Unsqueeze", [found, ints(perSample ? [1] : [0, 1])]);
  });
  return { cos: rows[0]!, sin: rows[1]! };
}

/** A value of three axes is split into heads of `size`, worked on and merged again. */
function withHeads(node: Node, writer: Writer, size: number | undefined, work: (x: string) => string): string {
  const x = node.inputs[0]!;
  if (writer.rank(x) !== 3) return work(x);
  const declared = intAttribute(node, "num_heads", 0);
  const heads =
    declared || lastLength(writer, x, "the size of its input") / (size ?? writer.refuse("it has no num_heads"));
  return mergeHeads(writer, work(splitHeads(writer, x, heads)));
}

const contrib: Expansion = (node, writer) => {
  if (intAttribute(node, "is_packed_batching", 0) !== 0) writer.refuse("is_packed_batching 1 has no plain form");
  if (floatAttribute(node, "scale", 1) !== 1) writer.refuse("a scale other than 1 has no plain form");
  const [, ids = "", cos = "", sin = ""] = node.inputs;
  const rotated = intAttribute(node, "rotary_embedding_dim", 0) || 2 * lastLength(writer, cos, "the size of its cache");
  const interleaved = intAttribute(node, "interleaved", 0) !== 0;
  return [
    withHeads(node, writer, rotated, (x) =>
      rotate(writer, x, anglesAt(writer, [cos, sin], ids, x), rotated, interleaved),
    ),
  ];
};

/** Without positions the caches hold one row for each place of each sample. */
const standard: Expansion = (node, writer) => {
  const [, cos = "", sin = ""] = node.inputs;
  const { emit, ints } = writer;
  const ids = given(node, 3);
  const half = lastLength(writer, cos, "the size of its cache");
  const angles = (x: string): Angles => {
    if (ids !== undefined) return anglesAt(writer, [cos, sin], ids, x);
    const [c, s] = [cos, sin].map((cache) => emit("Unsqueeze", [cache, ints([1])]));
    return { cos: c!, sin: s! };
  };
  const interleaved = intAttribute(node, "interleaved", 0) !== 0;
  return [withHeads(node, writer, undefined, (x) => rotate(writer, x, angles(x), 2 * half, interleaved))];
};

export const rotaryExpansions: Expansions = { "com.microsoft.RotaryEmbedding": contrib, RotaryEmbedding: standard };
