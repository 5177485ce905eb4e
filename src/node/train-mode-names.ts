/** Names of the ways to train, for those who only need to know them. */

/** Names that --mode takes. */
export const TRAIN_MODE_NAMES = ["float", "qat", "low-precision"] as const;

/** Ways to train. */
export type TrainMode = (typeof TRAIN_MODE_NAMES)[number];
