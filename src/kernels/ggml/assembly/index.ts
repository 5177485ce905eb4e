/** What the module exports. AssemblyScript. */
export { encodeIq4Nl, encodeIq4Xs } from "./iq4";
export { encodeK } from "./k-quants";
export { encodeAffine, encodeBytes, encodeSigned, encodeWeighted } from "./simple";
