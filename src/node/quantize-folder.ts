/** fewbit quantize for a transformers.js model folder: every session in every dtype, and config.json kept true. */
import { basename, join, relative } from "node:path";
import { fail } from "../numeric/errors.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { Candidate, Finding, QuantizeReport } from "../pipeline/result.ts";
import { VERSION } from "./environment.ts";
import { makeFolders, removeEmptyFolders } from "./folders.ts";
import { copySources, inspectFolder, type ModelFolder, planFolder } from "./model-folder.ts";
import { quantizeConfig, updateConfig, writeQuantizeConfig } from "./model-folder-config.ts";
import { type InFolder, quantizeFile } from "./quantize.ts";
import type { QuantizeRequest } from "./requests.ts";
import type { StagedFiles } from "./stage.ts";

/** What browsers load unless told otherwise. */
const DEFAULT_DTYPES = ["q8"];

/** A finished model that waits for those of the other sessions. */
interface Waiting {
  readonly dtype: string;
  readonly staged: StagedFiles;
}

/**
 * Writes `onnx/SESSION_SUFFIX.onnx` for each session and dtype, then declares external data in config.json. The loader
 * offers a dtype only where every session has it, so all files of a dtype are written or none.
 */
export async function quantizeFolder(request: QuantizeRequest, hooks: Hooks): Promise<QuantizeReport> {
  if (request.output !== undefined)
    fail("usage", "-o has no meaning for a model folder: transformers.js expects the files in its onnx/ folder");
  const folder = await inspectFolder(request.model);
  const { groups } = planFolder(folder, request.schemes.length > 0 ? request.schemes : DEFAULT_DTYPES);
  const dtypes = groups.map(({ dtype }) => dtype);
  const made = await makeFolders(join(folder.path, "onnx"));
  const waiting: Waiting[] = [];
  try {
    const reports = await allSessions({ ...request, schemes: dtypes }, folder, waiting, hooks);
    const complete = dtypes.filter((dtype) => reports.every((report) => isMade(report, dtype)));
    for (const { dtype, staged } of waiting) if (complete.includes(dtype)) await staged.commit();
    const written = reports.map((report) => withoutIncomplete(report, complete));
    if (complete.length > 0) await finish(folder, complete, written);
    return { ...joined(written, basename(folder.path)), home: relative(".", folder.path) || "." };
  } finally {
    for (const { staged } of waiting) await staged[Symbol.asyncDispose]();
    await removeEmptyFolders(made);
  }
}

async function allSessions(
  request: QuantizeRequest,
  { path: folder, sessions, modelType }: ModelFolder,
  waiting: Waiting[],
  hooks: Hooks,
): Promise<readonly QuantizeReport[]> {
  const inFolder: InFolder = {
    ...(modelType === undefined ? {} : { modelType }),
    hold: (dtype, staged) => waiting.push({ dtype, staged }),
  };
  const reports: QuantizeReport[] = [];
  for (const { name, path } of sessions) {
    hooks.progress.note(`session ${name}`);
    const wish = { ...request, model: path, output: join(folder, "onnx") };
    reports.push(await quantizeFile(wish, hooks, { folder: inFolder }));
  }
  return reports;
}

const isMade = ({ candidates }: QuantizeReport, dtype: string): boolean =>
  candidates.some(({ scheme, output }) => scheme === dtype && output !== undefined);

/** Candidates that were made for one session but not for another have no files. */
function withoutIncomplete(report: QuantizeReport, complete: readonly string[]): QuantizeReport {
  const corrected = (candidate: Candidate): Candidate => {
    if (candidate.output === undefined || complete.includes(candidate.scheme)) return candidate;
    const { output: _, ...rest } = candidate;
    return { ...rest, files: [], findings: [...candidate.findings, incomplete(candidate.scheme)] };
  };
  return { ...report, candidates: report.candidates.map(corrected) };
}

const incomplete = (dtype: string): Finding => ({
  severity: "error",
  code: "incomplete",
  message: `not written: another session of the folder has no ${dtype}, and transformers.js needs it for all`,
  remedy: "see what the report says of the other sessions, or choose another dtype",
});

/** What else the loader needs beside the files. */
async function finish(folder: ModelFolder, dtypes: readonly string[], reports: readonly QuantizeReport[]) {
  await copySources(folder);
  await updateConfig(folder.path, externalFiles(reports));
  await writeQuantizeConfig(folder.path, quantizeConfig(dtypes, folder.modelType, { version: VERSION }));
}

/** Number of data files of each model written. */
const externalFiles = (reports: readonly QuantizeReport[]): Readonly<Record<string, number>> =>
  Object.fromEntries(
    reports.flatMap(({ candidates }) =>
      candidates
        .filter(({ files }) => files.length > 0)
        .map(({ files }) => [files[0]!.name, files.length - 1] as const),
    ),
  );

const sessionName = ({ name }: QuantizeReport["model"]): string => name.replace(/\.onnx$/, "");

/** One report for all sessions; candidates are named after session and dtype. */
function joined(reports: readonly QuantizeReport[], name: string): QuantizeReport {
  const [first] = reports as readonly [QuantizeReport, ...QuantizeReport[]];
  if (reports.length === 1) return first;
  const named = (report: QuantizeReport): readonly Candidate[] =>
    report.candidates.map((candidate) => ({
      ...candidate,
      scheme: `${sessionName(report.model)} ${candidate.scheme}`,
    }));
  const { recommended: _, ...rest } = first;
  return {
    ...rest,
    model: { ...first.model, name, size: reports.reduce((sum, { model }) => sum + model.size, 0) },
    candidates: reports.flatMap(named),
    refused: reports.flatMap(({ model, refused }) =>
      refused.map((row) => ({ ...row, scheme: `${sessionName(model)} ${row.scheme}` })),
    ),
    findings: reports.flatMap(({ findings }) => findings),
    seconds: reports.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}
