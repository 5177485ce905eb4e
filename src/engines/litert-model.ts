/** A model inside LiteRT: its bytes, what was compiled of it, and buffers for its inputs. */
import { fail } from "../numeric/errors.ts";
import type { Deletable, LitertBuffer, LitertCompiled, LitertTensorType, LitertWasm } from "./litert-api.ts";
import type { Machine } from "./litert-machine.ts";
import { hideSignatures } from "./litert-signatures.ts";

/** XNNPACK on the thread that calls. */
const OPTIONS = { accelerator: "wasm", cpuOptions: { numThreads: 1 }, gpuOptions: {}, webNNOptions: {} };

export interface LitertRunner {
  /** Runs once on the bytes of every input, in the graph's order; `read` sees each output while it lasts. */
  run(inputs: readonly Uint8Array[], read: (output: number, value: RawValue) => void): void;
  close(): void;
}

/** One output. `bytes` is a view that is gone after the run. */
export interface RawValue {
  readonly element: number;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Writes the file into WebAssembly memory and returns its address and length. */
function place(wasm: LitertWasm, bytes: Uint8Array): readonly [number, number] {
  const patch = hideSignatures(bytes);
  const length = bytes.length + (patch?.tail.length ?? 0);
  const address = wasm._malloc(length);
  if (address === 0) fail("engine", `${length} bytes of memory can't be had for the model`);
  wasm.HEAPU8.set(bytes, address);
  if (patch) {
    wasm.HEAPU8.set(patch.tail, address + bytes.length);
    new DataView(wasm.HEAPU8.buffer).setInt32(address + patch.at, patch.value, true);
  }
  return [address, length];
}

/** Declared shapes may be absurd; 1 GiB is more than any model's input needs. */
const MAX_INPUT_BYTES = 2 ** 30;

function inputBuffer({ wasm, environment }: Machine, type: LitertTensorType): LitertBuffer {
  try {
    const [host, size] = [wasm.LiteRtTensorBufferType.HOST_MEMORY, type.bytes()];
    if (!(size >= 0 && size <= MAX_INPUT_BYTES))
      fail("limit", `an input takes ${size} bytes, more than the ${MAX_INPUT_BYTES} allowed; fix its shape`);
    return wasm.LiteRtTensorBuffer.createManaged(environment, host, type, size);
  } finally {
    type.delete();
  }
}

function shapeOf(type: LitertTensorType): readonly number[] {
  const layout = type.layout();
  const vector = layout.dimensions();
  const shape = Array.from({ length: vector.size() }, (_, axis) => vector.get(axis));
  vector.delete();
  layout.delete();
  return shape;
}

function read(wasm: LitertWasm, buffer: LitertBuffer, see: (value: RawValue) => void): void {
  const type = buffer.tensorType();
  const [element, shape] = [type.elementType().value, shapeOf(type)];
  type.delete();
  const address = buffer.lock(wasm.LiteRtTensorBufferLockMode.READ);
  see({ element, shape, bytes: wasm.HEAPU8.subarray(address, address + buffer.packedSize()) });
  buffer.unlock();
}

function write(wasm: LitertWasm, buffer: LitertBuffer, bytes: Uint8Array): void {
  const size = buffer.packedSize();
  if (bytes.length !== size) fail("engine", `an input takes ${size} bytes where the file says ${bytes.length}`);
  const address = buffer.lock(wasm.LiteRtTensorBufferLockMode.WRITE);
  wasm.HEAPU8.set(bytes, address);
  buffer.unlock();
}

function clear(wasm: LitertWasm, buffer: LitertBuffer): void {
  const address = buffer.lock(wasm.LiteRtTensorBufferLockMode.WRITE);
  wasm.HEAPU8.fill(0, address, address + buffer.packedSize());
  buffer.unlock();
}

/** Everything that has to go again, the last one first. */
function closer(machine: Machine) {
  const held: Deletable[] = [];
  return {
    keep<T extends Deletable>(item: T): T {
      held.push(item);
      return item;
    },
    close() {
      if (!machine.broken) for (const item of held.splice(0).reverse()) item.delete();
    },
  };
}

/** One run: inputs in, errors that were only printed thrown, outputs shown and freed. */
const runOn =
  (machine: Machine, compiled: LitertCompiled, buffers: readonly LitertBuffer[]): LitertRunner["run"] =>
  (values, see) => {
    const { wasm, call, check } = machine;
    for (const [input, buffer] of buffers.entries()) write(wasm, buffer, values[input]!);
    const results = call(() => compiled.run(0, buffers));
    try {
      check();
      for (const [output, result] of results.entries()) read(wasm, result, (value) => see(output, value));
    } finally {
      for (const result of results) result.delete();
    }
  };

const UNPREPARED = /failed to prepare|Failed to allocate tensors/;

/** Ops are looked for and shapes checked in the first run only; what zeros as data lead to does not matter. */
function tryOut(machine: Machine, compiled: LitertCompiled, buffers: readonly LitertBuffer[]): void {
  for (const buffer of buffers) clear(machine.wasm, buffer);
  for (const output of machine.call(() => compiled.run(0, buffers))) output.delete();
  try {
    machine.check();
  } catch (cause) {
    if (UNPREPARED.test((cause as Error).message)) throw cause;
  }
}

/** What a file holds that matters for opening it. */
export interface RunnerFile {
  readonly bytes: Uint8Array;
  readonly inputs: number;
  /** It keeps state between runs, so it is not tried out. */
  readonly hasState: boolean;
}

/** Opens a verified file. Throws what LiteRT says against it. */
export function openRunner(machine: Machine, { bytes, inputs, hasState }: RunnerFile): LitertRunner {
  const { keep, close } = closer(machine);
  try {
    const { wasm, environment, call } = machine;
    const [address, length] = call(() => place(wasm, bytes));
    keep({ delete: () => wasm._free(address) });
    const model = keep(call(() => wasm.loadModel(environment, address, length)));
    const compiled = keep(call(() => wasm.compileModel(environment, model, OPTIONS)));
    const buffers = Array.from({ length: inputs }, (_, input) =>
      keep(call(() => inputBuffer(machine, model.getInputTensorType(0, input)))),
    );
    if (!hasState) tryOut(machine, compiled, buffers);
    return { run: runOn(machine, compiled, buffers), close };
  } catch (cause) {
    close();
    throw cause;
  }
}
