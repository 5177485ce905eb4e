/** `npm run build`: compiles src/ into dist/, from nothing. */
import { build, SetupError } from "./setup.js";

try {
  build();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`build: ${error.message}`);
  process.exit(1);
}
