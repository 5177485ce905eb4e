/**
 * ONNX Runtime's WebAssembly build prints its profile with the `console.log` it finds while it starts. The tap stands
 * in for `console.log` during that time, so that later prints of the engine, and only those, can be caught.
 */
let sink: string[] | undefined;

/** Runs `start` with the tap in place of `console.log`. Prints go through as long as nobody catches. */
export async function tapConsole<T>(start: () => Promise<T>): Promise<T> {
  const log = console.log;
  console.log = (...args: unknown[]) => {
    if (sink) sink.push(args.join(" "));
    else log.apply(console, args);
  };
  try {
    return await start();
  } finally {
    console.log = log;
  }
}

/** What the tapped engine prints while `action` runs. */
export function caught(action: () => void): string {
  sink = [];
  try {
    action();
    return sink.join("\n");
  } finally {
    sink = undefined;
  }
}
