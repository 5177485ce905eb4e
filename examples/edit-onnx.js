// @ts-check
/**
 * Reading, changing and writing an ONNX file: another name for an input, an entry in the metadata.
 *   node examples/edit-onnx.js [OUT.onnx]
 * Models are immutable: an edit makes new objects, and everything else is shared and copied from the old file as it is.
 */
import { fileURLToPath } from "node:url";
import { assertLegal, bytesSource, encodeOnnx, isUnchanged, readOnnx, withGraph } from "fewbit";
import { openModelFile, writeModel } from "fewbit/node";

const path = fileURLToPath(new URL("../demo/characters.onnx", import.meta.url));
const output = process.argv[2] ?? "characters.edited.onnx";

const { model, close } = await openModelFile(path);
console.log(`unchanged, it would be written back byte for byte: ${isUnchanged(model)}`);

/** @param {string} name */
const renamed = (name) => (name === "image" ? "pixels" : name);
const { graph } = model;
const edited = withGraph(
  { ...model, metadata: { ...model.metadata, task: "characters" } },
  {
    ...graph,
    inputs: graph.inputs.map((input) => ({ ...input, name: renamed(input.name) })),
    nodes: graph.nodes.map((node) =>
      node.inputs.includes("image") ? { ...node, inputs: node.inputs.map(renamed) } : node,
    ),
  },
);
assertLegal(edited); // names, order, types: throws one sentence for each thing that is wrong

const [written] = await writeModel(edited, output);
console.log(`wrote ${written?.size} bytes, SHA-256 ${written?.sha256.slice(0, 12)}...`);

// The same without files, as in a browser: bytes out, bytes in.
const { main } = encodeOnnx(edited);
const chunks = [];
for await (const chunk of main.chunks()) chunks.push(chunk);
const again = await readOnnx(bytesSource(new Uint8Array(await new Blob(chunks).arrayBuffer())));
console.log(`input ${again.graph.inputs[0]?.name}, metadata ${JSON.stringify(again.metadata)}`);
await close(); // weights are read from the file until here
