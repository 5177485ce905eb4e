/** LiteRT's WebAssembly in browsers and workers. */
import { LITERT_FILE, LITERT_VERSION, type LitertFactory, type LitertPackage } from "../engines/litert-api.ts";
import { wasmApi } from "../engines/wasm-api.ts";
import { fail } from "../numeric/errors.ts";

async function served(url: URL): Promise<Response> {
  const response = await fetch(url);
  return response.ok ? response : fail("io", `${url} answers ${response.status}`);
}

/** The script hands out nothing when it is imported; a copy of it does, without a global variable. */
async function importFactory(script: string): Promise<LitertFactory> {
  const url = URL.createObjectURL(new Blob([script, "\nexport default ModuleFactory;"], { type: "text/javascript" }));
  try {
    return ((await import(/* @vite-ignore */ /* webpackIgnore: true */ url)) as { default: LitertFactory }).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/**
 * Loads LiteRT from a folder that the page's own server offers: a copy of `node_modules/@litertjs/core/wasm/`. A
 * content security policy must allow `blob:` scripts and `wasm-unsafe-eval`.
 */
export const litertFrom =
  (folder: string | URL): (() => Promise<LitertPackage>) =>
  async () => {
    const page = (globalThis as { location?: { readonly href: string } }).location;
    const base = new URL(folder, page?.href);
    const [script, bytes] = await Promise.all([
      served(new URL(`${LITERT_FILE}.js`, base)).then((response) => response.text()),
      served(new URL(`${LITERT_FILE}.wasm`, base)).then((response) => response.arrayBuffer()),
    ]);
    const [factory, module] = await Promise.all([importFactory(script), wasmApi.compile(bytes)]);
    return { version: LITERT_VERSION, factory, module };
  };
