/** How the measuring process starts an engine, opens the model and runs it: CommonJS text for `probeScript`. */

/** ONNX Runtime. The engine is started by opening an empty model, which fails only after that. */
export const ORT_START = `
const start = async (job) => {
  const ort = require(job.package);
  ort.env.logLevel = "fatal";
  ort.env.wasm.numThreads = job.options.intraOpNumThreads;
  await ort.InferenceSession.create(new Uint8Array(1), job.options).catch(() => {});
  let session;
  let feeds;
  const read = ({ location, path }) => ({ path: location, data: fs.readFileSync(path) });
  const tensor = ({ dtype, data, shape }) =>
    Object.assign(new ort.Tensor(dtype === "float16" ? "uint16" : dtype, data, shape), { type: dtype });
  return {
    async open() {
      session = job.external
        ? await ort.InferenceSession.create(fs.readFileSync(job.path), { ...job.options, externalData: job.external.map(read) })
        : await ort.InferenceSession.create(job.path, job.options);
    },
    async run() {
      feeds ??= Object.fromEntries(Object.entries(job.feeds).map(([name, feed]) => [name, tensor(feed)]));
      await session.run(feeds, { logSeverityLevel: 4 });
    },
  };
};
`;

/**
 * LiteRT, as engines/litert-model.ts does it: `job.inputs` names the inputs in the graph's order, `job.patch` hides the
 * signatures. A feed may hold several batches.
 */
export const LITERT_START = `
const start = async (job) => {
  const { dirname } = require("node:path");
  const names = ["module", "exports", "require", "__filename", "__dirname"];
  const code = require("node:vm").compileFunction(fs.readFileSync(job.script, "utf8"), names, { filename: job.script });
  const module = { exports: {} };
  code(module, module.exports, require, job.script, dirname(job.script));
  let lines = [];
  const print = (line) => lines.push(line);
  const wasm = await module.exports({ print, printErr: print });
  const environment = wasm.LiteRtEnvironment.create(null);
  const { READ, WRITE } = wasm.LiteRtTensorBufferLockMode;
  const options = { accelerator: "wasm", cpuOptions: { numThreads: 1 }, gpuOptions: {}, webNNOptions: {} };
  let compiled;
  let buffers;
  const place = (file) => {
    const bytes = job.patch ? Buffer.concat([file, job.patch.tail]) : file;
    if (job.patch) bytes.writeInt32LE(job.patch.value, job.patch.at);
    const address = wasm._malloc(bytes.length);
    wasm.HEAPU8.set(bytes, address);
    return wasm.loadModel(environment, address, bytes.length);
  };
  const buffer = (type) =>
    wasm.LiteRtTensorBuffer.createManaged(environment, wasm.LiteRtTensorBufferType.HOST_MEMORY, type, type.bytes());
  const write = (target, { data }, batch) => {
    const size = target.packedSize();
    const at = size < data.byteLength ? batch * size : 0;
    const address = target.lock(WRITE);
    wasm.HEAPU8.set(new Uint8Array(data.buffer, data.byteOffset + at, Math.min(size, data.byteLength)), address);
    target.unlock();
  };
  const once = (batch) => {
    lines = [];
    buffers.forEach((target, input) => write(target, job.feeds[job.inputs[input]], batch));
    for (const output of compiled.run(0, buffers)) output.delete();
    if (lines.some((line) => line.startsWith("ERROR"))) throw new Error(lines.join("\\n"));
  };
  return {
    async open() {
      const model = place(job.bytes ?? fs.readFileSync(job.path));
      compiled = wasm.compileModel(environment, model, options);
      buffers = job.inputs.map((_, input) => buffer(model.getInputTensorType(0, input)));
    },
    async run() {
      const batches = buffers.map((target, input) => job.feeds[job.inputs[input]].data.byteLength / target.packedSize());
      for (let batch = 0; batch < Math.max(1, ...batches); batch++) once(batch);
    },
  };
};
`;
