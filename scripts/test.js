/** `npm test`: makes the checkout ready, runs vitest with the arguments given, and ends with one line of counts. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureLlama, ensureReady, ROOT } from "./setup.js";

/** Counts of vitest's JSON report; a file that could not be loaded counts as one failure. */
function counts(report) {
  const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

ensureReady();
ensureLlama();
const folder = mkdtempSync(join(tmpdir(), "fewbit-test-"));
const file = join(folder, "report.json");
const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
const args = [vitest, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
const { status } = spawnSync(process.execPath, [...args, ...process.argv.slice(2)], { cwd: ROOT, stdio: "inherit" });
const { passed, failed, skipped } = existsSync(file)
  ? counts(JSON.parse(readFileSync(file, "utf8")))
  : { passed: 0, failed: 1, skipped: 0 };
rmSync(folder, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = status === 0 && failed === 0 ? 0 : 1;
