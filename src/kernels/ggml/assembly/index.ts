/** What the module exports. AssemblyScript. */
export { encodeMxfp4, encodeNvfp4 } from "./fp4";
export { trySplitsM, trySplitsS } from "./iq1";
export { encodeIq4Nl, encodeIq4Xs } from "./iq4";
export { encodeK } from "./k-quants";
export { searchSuper, setSearch, setTables } from "./lattice";
export { encodeAffine, encodeBytes, encodeSigned, encodeWeighted } from "./simple";
