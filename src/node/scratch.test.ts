import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tempScratch } from "./scratch.ts";

test("a scratch folder lists, reads and removes what was put there", async () => {
  const folder = await tempScratch.folder();
  await writeFile(join(folder, "a.txt"), "abc");
  const files = await tempScratch.files(folder);
  expect(files).toEqual([join(folder, "a.txt")]);
  expect(Buffer.from(await tempScratch.read(files[0] ?? "")).toString()).toBe("abc");
  await tempScratch.remove(folder);
  expect(existsSync(folder)).toBe(false);
});

test("folders left over go when the process ends", async () => {
  const before = process.listenerCount("exit");
  const folder = await tempScratch.folder();
  const [last] = process.listeners("exit").slice(-1);
  expect(process.listenerCount("exit")).toBe(before + 1);
  last?.call(process, 0);
  expect(existsSync(folder)).toBe(false);
  await tempScratch.remove(folder);
  expect(process.listenerCount("exit")).toBe(before);
});
