/** The GGUF container: reads and writes versions 2 and 3, in one file or several. */
export { aligned, alignmentOf } from "./header-read.ts";
export { MAX_SHARDS } from "./limits.ts";
export { type ReadGgufOptions, readGguf } from "./read.ts";
export { parseShardName, shardName } from "./split.ts";
export { type EncodeGgufOptions, encodeGguf, type GgufLayout, layoutGguf } from "./write.ts";
