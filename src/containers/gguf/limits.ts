/** What a GGUF file may ask for. Real files stay far below; what is asked is checked before memory is taken. */

/** All before the tensors' data: vocabularies of 262,000 tokens with scores and merges take some 15 MiB. */
export const MAX_HEADER_BYTES = 128 * 1024 * 1024;
/** Large language models have some 1,000; one of every expert's matrices alone some 50,000. */
export const MAX_TENSORS = 250_000;
/** Files have some 30 keys. */
export const MAX_KEYS = 65_536;
/** GGUF's own limit of a key; tensors' names stay below 64 bytes in llama.cpp, below 128 in stable-diffusion.cpp. */
export const MAX_NAME_BYTES = 65_535;
/** One text: chat templates and licences take some 100 KiB, tokenizer.json as a whole some 30 MiB. */
export const MAX_TEXT_BYTES = 64 * 1024 * 1024;
/** Texts in arrays: 262,000 tokens and 500,000 merges are the most known; each costs some 40 bytes of memory. */
export const MAX_TEXTS = 4_000_000;
/** Texts that are not UTF-8: some vocabularies have thousands; each is an array of its own and takes 16 us to find out. */
export const MAX_RAW_TEXTS = 100_000;
/** Arrays, inner ones included, at some 200 bytes. */
export const MAX_ARRAYS = 500_000;
/** Arrays inside arrays; llama.cpp reads none. */
export const MAX_DEPTH = 8;
/** GGML_MAX_DIMS of ggml. */
export const MAX_RANK = 4;
/** Used are 32 and 64; a page of the largest kind has 2 MiB. */
export const MAX_ALIGNMENT = 2 * 1024 * 1024;
/** Files of one model: the count is 16 bits wide, file names have five digits; the largest models have some 100. */
export const MAX_SHARDS = 10_000;
