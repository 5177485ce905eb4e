// @ts-check
/**
 * A small static server for the browser example; any other that serves the repository's root does as well.
 *   npm run build && node examples/browser/serve.js [PORT]
 */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What the page needs; nothing else of the folder is served. */
const SERVED = ["demo", "dist", "examples", "node_modules"];
/** @type {Readonly<Record<string, string>>} */
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  const path = normalize(join(ROOT, pathname, pathname.endsWith("/") ? "index.html" : ""));
  const served = SERVED.some((folder) => path.startsWith(join(ROOT, folder, "/")));
  if (!served || !existsSync(path) || !statSync(path).isFile()) {
    response.writeHead(404).end("not found");
    return;
  }
  response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
  createReadStream(path).pipe(response);
});
server.listen(Number(process.argv[2] ?? 8080), "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  console.log(`open http://127.0.0.1:${port}/examples/browser/`);
});
