/** Memory that pieces are encoded in. */

interface Buffers {
  readonly input: Uint8Array;
  readonly values: Float32Array;
  readonly output: Uint8Array;
}

const buffersFor = (values: number): Buffers => ({
  ...{ input: new Uint8Array(4 * values), output: new Uint8Array(4 * values) },
  values: new Float32Array(values),
});

let buffers = buffersFor(0);

/** Room for so many values, the same on every call until more is asked for. */
export function ggmlBuffers(values: number): Buffers {
  if (buffers.values.length < values) buffers = buffersFor(values);
  return buffers;
}
