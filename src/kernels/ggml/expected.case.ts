/** First 16 digits of the SHA-256 of what ggml 0.25.1 makes of the samples: encoded without importance, with it, and the latter decoded. */
import type { GgmlFormatName } from "./formats.ts";

/** Empty where the type can't do without importance. */
export const EXPECTED: Readonly<Record<GgmlFormatName, readonly [string, string, string]>> = {
  f32: ["8d60ae13948f8ac5", "8d60ae13948f8ac5", "8d60ae13948f8ac5"],
  f16: ["c2c7e2afacada37b", "c2c7e2afacada37b", "029d5b1c7271e07b"],
  bf16: ["61a8a2b5f34c7d37", "61a8a2b5f34c7d37", "28edaf1b62ba4ba1"],
  q8_0: ["2b3aae83b4fbe25d", "2b3aae83b4fbe25d", "14cc7b80c5af7424"],
  q5_1: ["2fc18f63f570572b", "eb10eb1fa9e68e01", "65f9e573cd81c5c6"],
  q5_0: ["80f9b66c13659dc0", "94b5ea5ffa1014ee", "689b07daf1072dfb"],
  q4_1: ["bd8abe1108009a1a", "3a2a9cf0ff258bf0", "87066190992d8ac4"],
  q4_0: ["3b70bd721393b57e", "073d4a3b1c452880", "56dd4c01a1ed6884"],
  q2_0: ["082d5a6f361a816b", "082d5a6f361a816b", "2f08cce44d26ab36"],
  q1_0: ["18df4ec265e2ddbf", "18df4ec265e2ddbf", "99c0c66700791a50"],
  q6_k: ["020dade585f79576", "17db4e814f7fb75d", "0215786b8875b184"],
  q5_k: ["8675e2de2f87e74f", "f7e294915a72e9d5", "36542d4e3dfcd011"],
  q4_k: ["ad5e6051ff3dd6aa", "4750e2ef380b3584", "dd138929d2e3b046"],
  q3_k: ["52fecfe917ed3c87", "2b06c81c782a7300", "261ce9fe5ce0394a"],
  q2_k: ["cca32c6439b1994b", "dc884bd778da9eb2", "3c59f5e2e46b8f11"],
  iq4_nl: ["6c51b16a1fda33e5", "75a075c5c4d37678", "2d3948de28ccd2d6"],
  iq4_xs: ["69c37778a2a7b65d", "a83163354a3eebf5", "dd2e1415637a34ff"],
  iq3_s: ["5120225c73c988fc", "724beb7c6bfb7f9c", "3ce91d856f265fd4"],
  iq3_xxs: ["83d6f7cc75c2da2f", "a000061d3fd59ac9", "64bdb6682d1d7b35"],
  iq2_s: ["f686e5ccbceb4964", "83abd1736ada40aa", "f5d39f7097cb455e"],
  iq2_xs: ["", "10b603bae3c283a8", "65186ce976c5d0f2"],
  iq2_xxs: ["", "7032c316fe9e3430", "f5c956cc4529cb3e"],
  iq1_m: ["af54d04166a357d1", "3e819051566aa6e9", "0080a7adbc0840fd"],
  iq1_s: ["", "4ffaec4e21b98737", "c4e8375c8b9fc99a"],
  tq2_0: ["a50a92182b08d366", "a50a92182b08d366", "6bd7a75f7b8a530f"],
  tq1_0: ["634a62e617ceef68", "634a62e617ceef68", "6bd7a75f7b8a530f"],
  mxfp4: ["c6b06f01de659ba8", "c6b06f01de659ba8", "3b14550bb9a020a5"],
  nvfp4: ["8423612fc0ec08a9", "8423612fc0ec08a9", "7519414de5ebe864"],
};
