/** Attention ops over whole sequences: those of com.microsoft, and of ONNX from operator set 23. None of them with a cache. */
import { floatAttribute, intAttribute, intsAttribute } from "../../ir/attributes.ts";
import type { Node } from "../../ir/model.ts";
import type { Expansion, Expansions } from "../expand.ts";
import type { Writer } from "../writer.ts";
import { attend, causalMask, causalOrder, type Heads, maskOf, repeatHeads, withoutBlind } from "./attend.ts";
import { given, lastLength, lengthOf, mergeHeads, plus, refuseInputs, splitHeads } from "./forms.ts";
import { anglesAt, rotate } from "./rotary.ts";

/** What masked keys get where the attribute is left out. */
const FILTER = -10_000;

/** The attribute of a factor on the scores; 0 and absent mean 1 / sqrt(size). */
const scaleOf = (node: Node): number | undefined => floatAttribute(node, "scale", 0) || undefined;

/** A mask of integers: lengths [batch], keys [batch, seen], or pairs [batch, length, seen]; 0 = does not count. */
function integerMask(node: Node, writer: Writer, mask: string, { q, k }: Heads): string {
  const { emit, ints } = writer;
  const filter = floatAttribute(node, "mask_filter_value", FILTER);
  const rank = writer.rank(mask);
  const wide = emit("Cast", [mask], { to: INT64 });
  if (rank === 1) {
    const places = emit("Range", [ints(0), lengthOf(writer, k, 2), ints(1)]);
    const within = emit("Less", [places, emit("Unsqueeze", [wide, ints([1, 2, 3])])]);
    return maskOf(writer, within, q, filter);
  }
  if (rank > 3) writer.refuse(`a mask of ${rank} axes has no plain form`);
  const counts = emit("Not", [emit("Equal", [wide, ints(0)])]);
  return maskOf(writer, emit("Unsqueeze", [counts, ints(rank === 2 ? [1, 2] : [1])]), q, filter);
}

/** ONNX code of int64. */
const INT64 = 7;

const causal = (node: Node, writer: Writer, heads: Heads): readonly string[] =>
  intAttribute(node, "unidirectional", 0) === 0 ? [] : [causalMask(writer, heads)];

/** A bias for queries, keys and values behind each other, split like them. */
function biases(writer: Writer, bias: string | undefined, sizes: readonly number[]): readonly (string | undefined)[] {
  return bias === undefined ? [] : writer.emitMany("Split", [bias, writer.ints(sizes)], sizes.length, { axis: 0 });
}

/** Parts [batch, length, heads, parts, size] that are packed on the fourth axis, each [batch, length, heads * size]. */
const unpacked = ({ emit, emitMany, ints }: Writer, value: string, parts: number): readonly string[] =>
  emitMany("Split", [value, ints(Array(parts).fill(1))], parts, { axis: 3 }).map((part) =>
    emit("Reshape", [part, ints([0, 0, -1])]),
  );

/** Queries, keys and values as they come: apart, or packed together. */
function multiHeadInputs(node: Node, writer: Writer): readonly string[] {
  const [query = "", key = "", value = ""] = node.inputs;
  if (key === "") return unpacked(writer, query, 3);
  return value === "" ? [query, ...unpacked(writer, key, 2)] : [query, key, value];
}

const multiHead: Expansion = (node, writer) => {
  const cache = { 6: "past_key", 7: "past_value", 8: "past_sequence_length", 9: "cache_indirection" };
  refuseInputs(node, writer, cache);
  const count = intAttribute(node, "num_heads", 0);
  const parts = multiHeadInputs(node, writer);
  const bias = given(node, 3);
  const sizes = bias === undefined ? [] : parts.map((part) => lastLength(writer, part, "the size of its inputs"));
  const own = biases(writer, bias, sizes);
  const [q, k, v] = parts.map((part, index) => {
    if (writer.rank(part) === 4) return part;
    return splitHeads(writer, plus(writer, part, own[index]), count);
  });
  const heads = { q: q!, k: k!, v: v! };
  const padding = given(node, 4);
  const masks = padding === undefined ? [] : [integerMask(node, writer, padding, heads)];
  const extra = given(node, 5);
  const all = [...masks, ...causal(node, writer, heads), ...(extra === undefined ? [] : [extra])];
  return [mergeHeads(writer, attend(writer, heads, { scale: scaleOf(node), masks: all })), heads.k, heads.v, undefined];
};

/** Projects its input to queries, keys and values itself. */
const projected: Expansion = (node, writer) => {
  refuseInputs(node, writer, { 4: "past", 6: "past_sequence_length" });
  if (intAttribute(node, "do_rotary", 0) !== 0) writer.refuse("do_rotary 1 has no plain form");
  const { emit, ints } = writer;
  const [input = "", weights = ""] = node.inputs;
  const whole = plus(writer, emit("MatMul", [input, weights]), given(node, 2));
  const third = () => lastLength(writer, weights, "the shape of its weights") / 3;
  const sizes = intsAttribute(node, "qkv_hidden_sizes") ?? [third(), third(), third()];
  const count = intAttribute(node, "num_heads", 0);
  const [q, k, v] = writer
    .emitMany("Split", [whole, ints(sizes)], 3, { axis: -1 })
    .map((part) => splitHeads(writer, part, count));
  const heads = { q: q!, k: k!, v: v! };
  const mask = given(node, 3);
  const masks = mask === undefined ? [] : [integerMask(node, writer, mask, heads)];
  const extra = given(node, 5);
  const all = [...masks, ...causal(node, writer, heads), ...(extra === undefined ? [] : [extra])];
  return [mergeHeads(writer, attend(writer, heads, { scale: scaleOf(node), masks: all })), undefined];
};

/** Caches that are there but empty, as exported models have them, count as none. */
function refuseCache(node: Node, writer: Writer, index: number, name: string): void {
  const value = given(node, index);
  if (value === undefined || writer.dims(value)?.[2] === 0) return;
  writer.refuse(
    `its input ${name} is a cache, and training reads whole sequences; declare ${name} with length 0, or leave it out`,
  );
}

/** Queries, keys and values of grouped heads; keys and values may be packed behind the queries. */
function groupedInputs(node: Node, writer: Writer, heads: number, shared: number): readonly string[] {
  const [query = "", key = "", value = ""] = node.inputs;
  if (key !== "") return [query, key, value];
  const size = lastLength(writer, query, "the size of its input") / (heads + 2 * shared);
  const sizes = writer.ints([heads * size, shared * size, shared * size]);
  return writer.emitMany("Split", [query, sizes], 3, { axis: -1 });
}

/** Positions count from 0 where the node is given none. */
function rotaryOf(node: Node, writer: Writer, value: string): string {
  if (intAttribute(node, "do_rotary", 0) === 0) return value;
  const [cos = "", sin = ""] = node.inputs.slice(7, 9);
  const angles = anglesAt(writer, [cos, sin], given(node, 9) ?? writer.ints([0]), value);
  const rotated = 2 * lastLength(writer, cos, "the size of its cache");
  return rotate(writer, value, angles, rotated, intAttribute(node, "rotary_interleaved", 0) !== 0);
}

/** Sequences are whole: `seqlens_k` would only say how much of the padding behind them to leave out. */
const grouped: Expansion = (node, writer) => {
  for (const [at, name] of [
    [3, "past_key"],
    [4, "past_value"],
  ] as const)
    refuseCache(node, writer, at, name);
  refuseInputs(node, writer, {
    11: "head_sink",
    12: "k_scale",
    13: "v_scale",
    14: "q_norm_weight",
    15: "k_norm_weight",
  });
  if (intAttribute(node, "smooth_softmax", -1) > 0) writer.refuse("smooth_softmax 1 has no plain form");
  const [count, shared] = [intAttribute(node, "num_heads", 0), intAttribute(node, "kv_num_heads", 0)];
  const [query, key, value] = groupedInputs(node, writer, count, shared);
  const q = rotaryOf(node, writer, splitHeads(writer, query!, count));
  const k = rotaryOf(node, writer, splitHeads(writer, key!, shared));
  const v = splitHeads(writer, value!, shared);
  const window = intAttribute(node, "local_window_size", -1);
  const order =
    intAttribute(node, "causal", 1) === 0 ? [] : [causalMask(writer, { q, k, v }, window > 0 ? window : undefined)];
  const extra = given(node, 10);
  const heads = {
    q,
    k: repeatHeads(writer, k, count / shared, count),
    v: repeatHeads(writer, v, count / shared, count),
  };
  const masks = [...order, ...(extra === undefined ? [] : [extra])];
  const scoring = { scale: scaleOf(node), masks, softcap: floatAttribute(node, "softcap", 0) };
  return [mergeHeads(writer, attend(writer, heads, scoring)), k, v, undefined];
};

/** What each query may see, as far as booleans say it; a mask of numbers is added to the scores. */
function sightOf(node: Node, writer: Writer, heads: Heads) {
  const mask = given(node, 3);
  const flags = mask !== undefined && writer.dtype(mask) === "bool" ? [mask] : [];
  const order = intAttribute(node, "is_causal", 0) === 0 ? [] : [causalOrder(writer, heads)];
  const both = [...order, ...flags];
  const seen = both.length > 1 ? writer.emit("And", both) : both[0];
  return { added: mask !== undefined && flags.length === 0 ? [mask] : [], seen, blind: flags.length > 0 };
}

const standard: Expansion = (node, writer) => {
  refuseInputs(node, writer, { 4: "past_key", 5: "past_value", 6: "nonpad_kv_seqlen" });
  const [query = "", key = "", value = ""] = node.inputs;
  const flat = writer.rank(query) === 3;
  const [count, shared] = [intAttribute(node, "q_num_heads", 0), intAttribute(node, "kv_num_heads", 0)];
  const split = (part: string, heads: number) => (flat ? splitHeads(writer, part, heads) : part);
  const [q, k, v] = [split(query, count), split(key, shared), split(value, shared)];
  const lengths = [q, k].map((part) => writer.dims(part)?.[1]);
  const [all, some] = flat ? [count, shared] : lengths;
  if (typeof all !== "number" || typeof some !== "number") return writer.refuse("how many heads it has is not known");
  const heads = { q, k: repeatHeads(writer, k, all / some, all), v: repeatHeads(writer, v, all / some, all) };
  const { added, seen, blind } = sightOf(node, writer, heads);
  const masks = seen === undefined ? added : [maskOf(writer, seen, q), ...added];
  const values = attend(writer, heads, { scale: scaleOf(node), masks, softcap: floatAttribute(node, "softcap", 0) });
  const y = blind ? withoutBlind(writer, values, seen!) : values;
  return [flat ? mergeHeads(writer, y) : y, k, v, undefined];
};

export const attentionExpansions: Expansions = {
  "com.microsoft.MultiHeadAttention": multiHead,
  "com.microsoft.Attention": projected,
  "com.microsoft.GroupQueryAttention": grouped,
  Attention: standard,
};
