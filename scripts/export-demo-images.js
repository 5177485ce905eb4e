/**
 * Writes images and labels of the demo's characters as .npy, for training elsewhere. Needs `npm run build`.
 *   node scripts/export-demo-images.js FOLDER NAME SEED COUNT    makes FOLDER/NAME_images.npy and FOLDER/NAME_labels.npy
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { drawCharacters } from "../dist/pipeline/demo/draw.js";

/** NumPy's .npy, version 1.0: magic, header length, a Python literal padded to 64 bytes, little-endian data. */
function npy(descr, shape, data) {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
  const header = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  return Buffer.concat([start, Buffer.from(header), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

const [folder, name, seed, count] = process.argv.slice(2);
if (!folder || !name || !(Number(seed) >= 0) || !(Number(count) > 0)) {
  console.error("usage: node scripts/export-demo-images.js FOLDER NAME SEED COUNT");
  process.exit(2);
}
const { images, labels, classes } = drawCharacters({ seed: Number(seed), count: Number(count) });
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, `${name}_images.npy`), npy("<f4", images.shape, images.data));
writeFileSync(join(folder, `${name}_labels.npy`), npy("<i4", [labels.length], labels));
console.log(`${count} images of ${classes.length} classes: ${join(folder, `${name}_images.npy`)}`);
