/** What the module exports. AssemblyScript. */

export { encodeK } from "./k-quants";
export { encodeAffine, encodeBytes, encodeSigned, encodeWeighted } from "./simple";
