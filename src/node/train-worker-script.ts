/**
 * What the training thread runs, as CommonJS text: Node 20 can't run TypeScript, and a file of its own would exist in
 * compiled form only. It opens sessions, runs them, and keeps the state of those that go round.
 */
export const TRAIN_WORKER_SCRIPT = `
const fs = require("node:fs");
const { parentPort, workerData } = require("node:worker_threads");

const ort = require(workerData.package);
ort.env.logLevel = "fatal";
ort.env.wasm.numThreads = workerData.options.intraOpNumThreads;

const sessions = new Map();
let opened = 0;

/** float16 travels as its bits, whatever array the engine uses for it. */
const toTensor = ({ dtype, data, shape }) =>
  dtype === "float16" ? Object.assign(new ort.Tensor("uint16", data, shape), { type: dtype }) : new ort.Tensor(dtype, data, shape);
const fromTensor = ({ type, data, dims }) => ({
  dtype: type,
  shape: [...dims],
  data: type === "float16" ? new Uint16Array(data.buffer, data.byteOffset, data.length) : data,
});
const mapped = (values, change) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
const ports = (metadata) => metadata.map(({ name, isTensor, type, shape }) => ({ name, isTensor, type, shape }));

const create = (path, external, options) => {
  if (!external) return ort.InferenceSession.create(path, options);
  const externalData = external.map(({ location, path: file }) => ({ path: location, data: fs.readFileSync(file) }));
  return ort.InferenceSession.create(fs.readFileSync(path), { ...options, externalData });
};

const finite = (tensor) => tensor.data.every(Number.isFinite);

const JOBS = {
  async open({ path, external, optimize, next }) {
    const options = { ...workerData.options, graphOptimizationLevel: optimize };
    const session = await create(path, external, options);
    sessions.set(++opened, { session, next, state: {} });
    return { handle: opened, inputs: ports(session.inputMetadata), outputs: ports(session.outputMetadata) };
  },
  async run({ handle, feeds, fetches }) {
    const entry = sessions.get(handle);
    const { session, next, state } = entry;
    const fed = { ...mapped(feeds, toTensor), ...state };
    const wanted = next ? undefined : fetches;
    const outputs = await (wanted ? session.run(fed, wanted, { logSeverityLevel: 4 }) : session.run(fed, { logSeverityLevel: 4 }));
    if (next && fetches.every((name) => finite(outputs[name])))
      entry.state = Object.fromEntries(next.map(([input, output]) => [input, outputs[output]]));
    return Object.fromEntries(fetches.map((name) => [name, fromTensor(outputs[name])]));
  },
  async load({ handle, state }) {
    sessions.get(handle).state = mapped(state, toTensor);
  },
  async state({ handle }) {
    return mapped(sessions.get(handle).state, fromTensor);
  },
  async close({ handle }) {
    const { session } = sessions.get(handle);
    sessions.delete(handle);
    await session.release();
  },
};

/** One after the other: the engine works on one run at a time. */
let last = Promise.resolve();
parentPort.on("message", ({ id, job, ...rest }) => {
  last = last
    .then(() => JOBS[job](rest))
    .then(
      (answer) => parentPort.postMessage({ id, answer }),
      (error) => parentPort.postMessage({ id, error: String(error?.message ?? error) }),
    );
});
`;
