/** fewbit quantize for a transformers.js model folder: every session in every dtype, and config.json kept true. */
import { basename, join } from "node:path";
import { fail } from "../numeric/errors.ts";
import type { Hooks } from "../pipeline/progress.ts";
import type { Candidate, QuantizeReport } from "../pipeline/result.ts";
import { copySources, inspectFolder, planFolder } from "./model-folder.ts";
import { quantizeConfig, updateConfig, writeQuantizeConfig } from "./model-folder-config.ts";
import { quantizeFile } from "./quantize.ts";
import type { QuantizeRequest } from "./requests.ts";
import { VERSION } from "./surroundings.ts";

/** What browsers load unless told otherwise. */
const DEFAULT_DTYPES = ["q8"];

/** Writes `onnx/SESSION_SUFFIX.onnx` for each session and dtype, then declares external data in config.json. */
export async function quantizeFolder(request: QuantizeRequest, hooks: Hooks): Promise<QuantizeReport> {
  if (request.output !== undefined)
    fail("usage", "-o has no meaning for a model folder: transformers.js expects the files in its onnx/ folder");
  const dtypes = request.schemes.length > 0 ? request.schemes : DEFAULT_DTYPES;
  const folder = await inspectFolder(request.model);
  const { groups } = planFolder(folder, dtypes);
  const reports: QuantizeReport[] = [];
  for (const { name, path } of folder.sessions) {
    hooks.progress.note(`session ${name}`);
    const wish = {
      ...request,
      model: path,
      schemes: groups.map(({ dtype }) => dtype),
      output: join(folder.path, "onnx"),
    };
    reports.push(
      await quantizeFile(wish, hooks, folder.modelType === undefined ? {} : { modelType: folder.modelType }),
    );
  }
  await copySources(folder);
  await updateConfig(folder.path, externalFiles(reports));
  await writeQuantizeConfig(folder.path, quantizeConfig(dtypes, folder.modelType, { version: VERSION }));
  return joined(reports, basename(folder.path));
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

/** One report for all sessions; candidates are named after session and dtype. */
function joined(reports: readonly QuantizeReport[], name: string): QuantizeReport {
  const [first] = reports as readonly [QuantizeReport, ...QuantizeReport[]];
  if (reports.length === 1) return first;
  const named = (report: QuantizeReport): readonly Candidate[] =>
    report.candidates.map((candidate) => ({
      ...candidate,
      scheme: `${report.model.name.replace(/\.onnx$/, "")} ${candidate.scheme}`,
    }));
  const { recommended: _, ...rest } = first;
  return {
    ...rest,
    model: { ...first.model, name, size: reports.reduce((sum, { model }) => sum + model.size, 0) },
    candidates: reports.flatMap(named),
    refused: reports.flatMap(({ refused }) => refused),
    findings: reports.flatMap(({ findings }) => findings),
    seconds: reports.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}
