/** For verbs that take several targets: tasks, containers or sessions, named by the user. */
import { ApexError, EXIT_STATUS } from "../../platform/apex_error.ts";
import { printable } from "../output/table.ts";
import type { Output } from "../standard_streams.ts";

/** The daemon serves a limited number of connections, and has other clients. */
const MAX_CONCURRENT = 16;

export interface EachTargetOptions<T> {
  /** The start of an error message, before the target's name: `cannot cancel task`. */
  readonly failure: string;
  readonly stderr: Output;
  readonly work: (target: string) => Promise<T>;
}

/**
 * Does the same for each target, concurrently. Failures are printed on stderr, and do not affect the other targets.
 *
 * @returns the results in the order of the targets, without those that failed; and the exit status: 4 if a target does not
 * exist, else that of the first failure, or 0
 * @throws {ApexError} `no_daemon`, once
 */
export async function eachTarget<T>(
  targets: readonly string[],
  { failure, stderr, work }: EachTargetOptions<T>,
): Promise<{ readonly results: T[]; readonly exitStatus: number }> {
  const distinct = [...new Set(targets)];
  const outcomes = new Map<string, { readonly result: T } | ApexError>();
  const waiting = distinct.values();
  const worker = async (): Promise<void> => {
    for (const target of waiting) outcomes.set(target, await attempt(() => work(target)));
  };
  await Promise.all(Array.from({ length: MAX_CONCURRENT }, worker));
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

/**
 * The message of a failure: `cannot cancel task "t1": no such task`. Some of the daemon's messages already have this form.
 * Others name only the target (`no such task or container: "t1"`), or, such as a timeout, not even that; these get `subject`
 * in front of them.
 */
export function failureText(
  subject: string,
  { target, error }: { readonly target: string; readonly error: { readonly message: string } },
): string {
  const quoted = JSON.stringify(target);
  const reason = error.message.replace(`: ${quoted}`, "");
  const isNamed = [target, quoted.slice(1, -1)].some((name) => reason.includes(name));
  return printable(isNamed ? error.message : `${subject}: ${reason}`);
}

/** Names the target in an unknown target's error; returns other errors unchanged. @param what `cannot wait for` */
export function namingTarget(
  what: string,
  { target, error }: { readonly target: string; readonly error: unknown },
): unknown {
  if (!(error instanceof ApexError && error.code === "not_found")) return error;
  const text = failureText(`${what} ${JSON.stringify(target)}`, { target, error });
  return new ApexError(error.code, text, { cause: error });
}

/** More names would push the output off the screen. */
const MAX_NAMED = 5;

/**
 * Says what else the target could mean, if a task id has more runs or containers than the one shown; else undefined.
 *
 * @param asked the target as the user wrote it; `target` names exactly the one shown, such as `build-7@2`
 */
export function otherTargetsNote(
  asked: string,
  { target, others = [] }: { readonly target: string; readonly others?: readonly string[] | undefined },
): string | undefined {
  if (others.length === 0) return undefined;
  const named = others.slice(0, MAX_NAMED).join(", ") + (others.length > MAX_NAMED ? ", …" : "");
  return printable(`this is ${target}; ${asked} also has: ${named}`);
}
