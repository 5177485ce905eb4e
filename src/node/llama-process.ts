/** A process that holds one model: questions and answers, and how it ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import type { LlamaAnswer, LlamaProcess } from "../engines/llama.ts";
import { FewbitError } from "../numeric/errors.ts";
import { LLAMA_SCRIPT } from "./llama-script.ts";

const ERROR_CHARACTERS = 4000;

/** How long to wait, and who may stop it. */
export interface LlamaProcessOptions {
  /** Longest time between a question and its answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Options of this process and settings of its person must not reach the engine; no debugger looks at how it ends. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|LLAMA_.*|GGML_.*)$/.test(name));
  return { ...Object.fromEntries(own), GGML_NO_BACKTRACE: "1" };
}

/** The last words of a process, for the message about its end. */
function lastWords(child: ChildProcess): () => string {
  let text = "";
  child.stderr?.on("data", (chunk) => {
    text = `${text}${chunk}`.slice(-ERROR_CHARACTERS);
  });
  return () => /^.*(?:GGML_ASSERT|fatal error|\w*Error: ).*$/m.exec(text)?.[0] ?? "";
}

interface Pending {
  readonly resolve: (answer: LlamaAnswer) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

const ending = (code: number | null, signal: string | null): Error =>
  new Error(
    signal === "SIGKILL"
      ? "its process was ended from outside; there may be too little memory"
      : `its process ended ${signal ? `by ${signal}` : `with code ${code}`}`,
  );

/** Questions by number; when the process ends, all that is open fails. */
function questions() {
  const pending = new Map<number, Pending>();
  let asked = 0;
  let ended: Error | undefined;
  return {
    /** Why none is answered any more. */
    ended: () => ended,
    add(question: Pending): number {
      pending.set(++asked, question);
      return asked;
    },
    answer({ id, ...answer }: LlamaAnswer & { readonly id: number }): void {
      const question = pending.get(id);
      pending.delete(id);
      clearTimeout(question?.timer);
      question?.resolve(answer);
    },
    end(why: Error): void {
      ended ??= why;
      for (const { reject, timer } of pending.values()) {
        clearTimeout(timer);
        reject(ended);
      }
      pending.clear();
    },
  };
}

function conversation(child: ChildProcess, { timeoutMs, signal }: LlamaProcessOptions): LlamaProcess["ask"] {
  const words = lastWords(child);
  const open = questions();
  const why = (otherwise: Error): Error =>
    signal?.aborted ? new FewbitError("cancelled", "interrupted") : words() === "" ? otherwise : new Error(words());
  child.on("message", open.answer);
  child.on("error", (error) => open.end(why(error)));
  child.on("close", (code, by) => open.end(why(ending(code, by))));
  const late = () => {
    open.end(new Error(`no answer within ${timeoutMs / 1000} s, so it was ended`));
    child.kill("SIGKILL");
  };
  return (job, values) =>
    new Promise((resolve, reject) => {
      const ended = open.ended();
      if (ended !== undefined) return reject(ended);
      const id = open.add({ resolve, reject, timer: setTimeout(late, timeoutMs) });
      child.send({ id, job, ...values }, (error) => error && open.end(why(error)));
    });
}

/** Starts a process that will load the engine from `binary`. */
export function startLlama(binary: string, options: LlamaProcessOptions): LlamaProcess {
  const child = spawn(process.execPath, ["--expose-gc", "-e", LLAMA_SCRIPT], {
    env: environment(),
    // where systems put what is left of a process that gave up
    cwd: tmpdir(),
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    serialization: "advanced",
    killSignal: "SIGKILL",
    ...(options.signal && { signal: options.signal }),
  });
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const ask = conversation(child, options);
  return {
    ask: (job, values) => ask(job, { binary, ...values }),
    async end() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}
