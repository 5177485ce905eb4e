/** What safetensors files may ask for, checked before memory is taken. */

/** Longest header that Hugging Face's own reader takes. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Large language models have some 1,000; one of every expert's matrices alone some 50,000. */
export const MAX_TENSORS = 250_000;
/** Values in the header's JSON: a tensor of four dimensions has ten; as many are parsed in some 4 s. */
export const MAX_VALUES = 10 * MAX_TENSORS + 100_000;
/** Header, tensor, list: nothing in the format nests deeper; unknown fields may, a little. */
export const MAX_DEPTH = 8;
/** Dimensions of one tensor: numpy stops at 64. */
export const MAX_RANK = 64;
/** An index of 50,000 tensors takes some 5 MiB. */
export const MAX_INDEX_BYTES = 64 * 1024 * 1024;
/** Files of one model: the largest models have some 200. */
export const MAX_SHARDS = 10_000;
