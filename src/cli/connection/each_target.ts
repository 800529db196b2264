import { ApexError, EXIT_STATUS } from "../../platform/apex_error.ts";
import { failureText } from "../output/failure_text.ts";
import type { Output } from "../output/output.ts";

/** The daemon serves a limited number of connections at one time, and this is not its only client. */
const AT_ONE_TIME = 16;

export interface EachTargetOptions<T> {
  /** What is said before the target's name where the failure does not name it: `cannot cancel task`. */
  readonly failure: string;
  readonly stderr: Output;
  readonly work: (target: string) => Promise<T>;
}

export interface EachTargetResult<T> {
  /** In the order of the targets, without those that failed. */
  readonly results: T[];
  /** 0, or the exit status that the failures ask for: 4 where one of them is no such name. */
  readonly exitStatus: number;
}

/**
 * Does the same for each target; those that fail are named on stderr, and do not keep the others from being done.
 *
 * @throws {ApexError} `no_daemon`, once
 */
export async function eachTarget<T>(
  targets: readonly string[],
  { failure, stderr, work }: EachTargetOptions<T>,
): Promise<EachTargetResult<T>> {
  const distinct = [...new Set(targets)];
  const outcomes = new Map<string, { readonly result: T } | ApexError>();
  const waiting = distinct.values();
  const worker = async (): Promise<void> => {
    for (const target of waiting) outcomes.set(target, await attempt(() => work(target)));
  };
  await Promise.all(Array.from({ length: AT_ONE_TIME }, worker));
  const results: T[] = [];
  let exitStatus = 0;
  for (const target of distinct) {
    const outcome = outcomes.get(target);
    if (outcome === undefined) continue;
    if (!(outcome instanceof ApexError)) {
      results.push(outcome.result);
      continue;
    }
    const subject = `${failure} ${JSON.stringify(target)}`;
    await stderr.print(`apex: ${failureText(subject, { target, error: outcome })}`);
    if (exitStatus === 0 || outcome.code === "not_found") exitStatus = EXIT_STATUS[outcome.code];
  }
  return { results, exitStatus };
}

async function attempt<T>(work: () => Promise<T>): Promise<{ readonly result: T } | ApexError> {
  try {
    return { result: await work() };
  } catch (error) {
    if (!(error instanceof ApexError) || error.code === "no_daemon") throw error;
    return error;
  }
}
