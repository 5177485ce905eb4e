/** What the module exports. AssemblyScript. */
export { sumWords } from "./checksum";
export {
  decodeAffine,
  decodeBytes,
  decodeIq4Nl,
  decodeIq4Xs,
  decodeMxfp4,
  decodeNvfp4,
  decodeQ1,
  decodeQ2,
  decodeSigned,
  decodeTq1,
  decodeTq2,
} from "./decode";
export { decodeQ2K, decodeQ3K, decodeQ4K, decodeQ5K, decodeQ6K } from "./decode-k";
export { sumDifferences } from "./difference";
export { encodeQ1, encodeQ2, encodeTq1, encodeTq2 } from "./few-bits";
export { encodeMxfp4, encodeNvfp4 } from "./fp4";
export { encodeIq1 } from "./iq1-blocks";
export { encodeIq4Nl, encodeIq4Xs } from "./iq4";
export { encodeK } from "./k-quants";
export { searchSuper, setSearch } from "./lattice";
export { setTables } from "./neighbours";
export {
  decodeBfloat,
  decodeHalf,
  encodeBfloat,
  encodeHalf,
  firstBadFloat,
  firstBadHalf,
} from "./plain";
export { encodeAffine, encodeBytes, encodeSigned, encodeWeighted } from "./simple";
