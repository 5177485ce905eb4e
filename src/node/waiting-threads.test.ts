import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { beginThreads, defaultThreads, takeThread, threadsWantedBy } from "./waiting-threads.ts";

const folder = mkdtempSync(join(tmpdir(), "fewbit-threads-"));
const at = (name: string): string => join(folder, name);

function sized(name: string, bytes: number): string {
  writeFileSync(at(name), "");
  truncateSync(at(name), bytes);
  return at(name);
}

let [large, small] = ["", ""];
beforeAll(() => {
  large = sized("large.gguf", 1e9);
  small = sized("small.gguf", 1e6);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a command line wants one thread fewer than it names, for this thread is one of them", () => {
  expect(threadsWantedBy(["quantize", large, "-s", "q4_0", "--threads", "3"])).toBe(2);
  expect(threadsWantedBy(["quantize", "-s", "q4_0", "--threads=3", large])).toBe(2);
  expect(threadsWantedBy(["quantize", large, "-s", "q4_0", "--threads", "1"])).toBe(0);
  expect(threadsWantedBy(["quantize", large, "-s", "q4_0"])).toBe(defaultThreads() - 1);
  expect(threadsWantedBy(["quantize", large, "--threads", "1000000"])).toBe(15);
});

test("nothing is begun for what is small, not there, of another kind, or encodes nothing", () => {
  for (const words of [
    ["quantize", small, "-s", "q4_0", "--threads", "3"],
    ["quantize", at("none.gguf"), "--threads", "3"],
    ["quantize", "model.onnx", "--threads", "3"],
    ["inspect", large, "--threads", "3"],
    ["quantize", large, "--dry-run", "--threads", "3"],
    ["quantize", large, "--threads", "many"],
    ["quantize", large, "--threads"],
    [],
  ])
    expect(threadsWantedBy(words)).toBe(0);
});

test("a thread that waits is taken, and one is begun where none waits", async () => {
  beginThreads(1);
  const waiting = takeThread();
  const begun = takeThread();
  expect(waiting.threadId).toBe(begun.threadId - 1);
  expect(waiting.listenerCount("exit")).toBe(begun.listenerCount("exit"));
  await Promise.all([waiting.terminate(), begun.terminate()]);
});
