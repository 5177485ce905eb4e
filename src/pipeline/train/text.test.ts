import { expect, test } from "vitest";
import { valueInfo } from "../../ir/build.ts";
import { bytesOfModel, testEngine } from "../../passes/same-outputs.case.ts";
import { buildModel, embedding, llama, zeros } from "../../train/layers/index.ts";
import { perplexity, windowsData } from "./text.ts";

const tokens = Int32Array.from({ length: 1000 }, (_, i) => (i * 7) % 16);

test("a window shows tokens and labels each with the one after it; the same seed gives the same windows", async () => {
  const data = windowsData(tokens, { context: 8, count: 50, seed: 3 });
  const { ids, labels } = await data.rows([4, 40]);
  expect(ids!.shape).toEqual([2, 8]);
  expect([...labels!.data].map(Number)).toEqual([...ids!.data].map((id) => (Number(id) + 7) % 16));
  const again = await windowsData(tokens, { context: 8, count: 50, seed: 3 }).rows([40]);
  expect([...again.ids!.data]).toEqual([...ids!.data].slice(8));
  expect(() => windowsData(tokens, { context: 1000, count: 1, seed: 1 })).toThrow(/1000 tokens, expected more than/);
});

test("the perplexity of a model that knows nothing is the size of its vocabulary", async () => {
  const inputs = [valueInfo("ids", "int64", ["batch", "time"])];
  const { model } = buildModel({ inputs, outputs: ["logits"] }, (build, ids = "") =>
    embedding(16, 16, zeros)(build, ids),
  );
  const session = await (await testEngine()).open({ bytes: await bytesOfModel(model) });
  const found = await perplexity(session, tokens, 30);
  expect(found.tokens).toBe(999);
  expect(found.perplexity).toBeCloseTo(16, 6);
  await session.close();
});

test("every token but the first is predicted once, the rest of a text in a shorter window", async () => {
  const sizes = { vocabulary: 16, width: 8, hidden: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, seed: 1 };
  const session = await (await testEngine()).open({ bytes: await bytesOfModel(llama(sizes).model) });
  const [whole, a, b] = [
    await perplexity(session, tokens.subarray(0, 26), 10),
    await perplexity(session, tokens.subarray(0, 21), 10),
    await perplexity(session, tokens.subarray(20, 26), 10),
  ];
  await session.close();
  expect(whole.nats).toBeCloseTo(a.nats + b.nats, 4);
});
