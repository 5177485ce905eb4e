/** Changes to the samples of a batch, drawn anew at every step: the model never sees the same image twice. */
import type { Feeds, NDArray } from "../../ir/model.ts";
import { fail } from "../../numeric/errors.ts";
import type { Rng } from "../../numeric/rng.ts";

/** What a change makes of a sample: another view of what it shows, or another sample. */
export type Makes = "view" | "sample";

/** A change to batches. */
export interface Augment {
  /** Name and settings: two of the same text do the same, which is what a checkpoint goes by. */
  readonly label: string;
  /** "sample" where all of it is drawn once for all views of a sample, which then are alike; "view" unless said. */
  readonly makes?: Makes;
  /**
   * The batch as the model and its teacher will see it; must not change the arrays it is given. Where a teacher sees several views
   * of each sample, `random` is another for each of them and `sample` draws the same for all; without it `random` is both.
   */
  apply(feeds: Feeds, random: Rng, sample?: Rng): Feeds | Promise<Feeds>;
}

const isFloats = ({ dtype }: NDArray): boolean => dtype === "float32";

/** Each sample times its own weight, plus what is left of one times its partner. */
function blended(array: NDArray, partners: readonly number[], weights: readonly number[]): NDArray {
  const from = array.data as Float32Array;
  const size = from.length / partners.length;
  const data = new Float32Array(from.length);
  for (const [sample, partner] of partners.entries()) {
    const own = weights[sample]!;
    for (let i = 0, at = sample * size, other = partner * size; i < size; i++)
      data[at + i] = own * from[at + i]! + (1 - own) * from[other + i]!;
  }
  return { ...array, data };
}

/**
 * Blends a share of the samples with others of their batch, all float32 inputs alike (Zhang et al., arXiv:1710.09412), once for
 * all views. Only a teacher can say what is right for a blend: labels and targets in the batch are an error.
 */
export const mixup = (share = 0.5): Augment => ({
  label: `mixup:${share}`,
  makes: "sample",
  apply(feeds, random, { uniform, integer } = random) {
    const right = ["labels", "target"].find((name) => Object.hasOwn(feeds, name));
    if (right !== undefined)
      fail(
        "usage",
        `augmentation mixup: there are no ${right} for blends; learn from the original alone, or leave it out`,
      );
    const floats = Object.entries(feeds).filter(([, array]) => isFloats(array));
    const count = floats[0]?.[1].shape[0] ?? 0;
    if (count === 0) return fail("usage", "augmentation mixup: the model takes no float32 samples; leave it out");
    const weights = Array.from({ length: count }, () => (uniform() < share ? uniform() : 1));
    const partners = Array.from({ length: count }, () => integer(0, count - 1));
    return { ...feeds, ...Object.fromEntries(floats.map(([name, x]) => [name, blended(x, partners, weights)])) };
  },
});

/** One after the other. */
export const inOrder = (augments: readonly Augment[]): Augment => ({
  label: augments.map(({ label }) => label).join(","),
  makes: augments.every(({ makes }) => makes === "sample") ? "sample" : "view",
  async apply(feeds, random, sample) {
    let current = feeds;
    for (const { apply } of augments) current = await apply(current, random, sample);
    return current;
  },
});
