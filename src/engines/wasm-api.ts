/** The part of JavaScript's WebAssembly API that is in use; TypeScript declares it only together with the DOM. */
declare const brand: unique symbol;

/** Compiled code, which can be started many times. */
export interface WasmModule {
  readonly [brand]: "module";
}

interface WasmApi {
  compile(bytes: Uint8Array | ArrayBuffer): Promise<WasmModule>;
  instantiate(module: WasmModule, imports: object): Promise<object>;
  /** What a trap throws. */
  readonly RuntimeError: new () => Error;
}

export const wasmApi = (globalThis as unknown as { readonly WebAssembly: WasmApi }).WebAssembly;
