/** From the flags of `apex run` to the task that the daemon is asked for. */
import { ApexError } from "../../platform/apex_error.ts";
import { parseByteSize } from "../../platform/byte_size.ts";
import { parseDuration } from "../../platform/durations.ts";
import type { TaskSpecRequest } from "../../protocol/control.ts";
import type { CliContext } from "../cli_context.ts";
import { type EnvironmentFlags, environmentOf, labels, mount, positive } from "./container_flags.ts";
import { publishedPort } from "./publish_flag.ts";

/** The flags, as they were written. */
export interface TaskFlags extends EnvironmentFlags {
  readonly task?: string | undefined;
  readonly image?: string | undefined;
  readonly network?: string | undefined;
  /** Each `SOURCE:TARGET` or `SOURCE:TARGET:ro`. */
  readonly volume?: readonly string[] | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  readonly entrypoint?: string | undefined;
  readonly cpus?: string | undefined;
  readonly memory?: string | undefined;
  readonly pids?: string | undefined;
  readonly timeout?: string | undefined;
  /** `--init` or `--no-init`. */
  readonly init?: boolean | undefined;
  /** The current directory is to be its `/workspace`. */
  readonly mount?: true | undefined;
  readonly keep?: true | undefined;
  readonly keepOnFailure?: true | undefined;
  /** The default, said for those who are used to it. */
  readonly rm?: true | undefined;
  /** Each `NAME=VALUE`, or `NAME` alone for an empty value. */
  readonly label?: readonly string[] | undefined;
  /** Each `[[IP:]HOSTPORT:]PORT[/PROTOCOL]`. */
  readonly publish?: readonly string[] | undefined;
  readonly pull?: "missing" | "always" | "never" | undefined;
  /** `all`, a number, or `device=ID[,ID…]`. */
  readonly gpus?: string | undefined;
  /** Pass standard input on. */
  readonly interactive?: true | undefined;
  /** Refused: what it asks for is a session. */
  readonly tty?: true | undefined;
  /** Only start it, and print its id. */
  readonly detach?: true | undefined;
}

/** @throws {ApexError} `usage`, naming the flag and what stands behind it. */
export function taskSpecOf(
  flags: TaskFlags,
  { command, context }: { readonly command: readonly string[]; readonly context: CliContext },
): TaskSpecRequest {
  checkCombination(flags, command);
  const { task, image, network, workdir, user, entrypoint, keep, keepOnFailure, pull, interactive } = flags;
  const env = environmentOf(flags, context);
  return {
    ...(task !== undefined && { taskId: task }),
    ...(image !== undefined && { image }),
    ...(command.length > 0 && { cmd: [...command] }),
    ...(entrypoint !== undefined && { entrypoint: [entrypoint] }),
    ...((flags.env ?? flags.envFile) !== undefined && { env }),
    ...(flags.volume !== undefined && { mounts: flags.volume.map((text) => mount(text, context)) }),
    ...(workdir !== undefined && { workdir }),
    ...(user !== undefined && { user }),
    ...(network !== undefined && { network }),
    ...(flags.label !== undefined && { labels: labels(flags.label) }),
    ...(flags.publish !== undefined && { ports: flags.publish.map(publishedPort) }),
    ...(flags.gpus !== undefined && { gpus: gpus(flags.gpus) }),
    ...(pull !== undefined && { pull }),
    ...(interactive && { stdin: true }),
    ...(flags.cpus !== undefined && { cpus: positive("--cpus", flags.cpus, decimal) }),
    ...(flags.memory !== undefined && { memoryBytes: positive("--memory", flags.memory, parseByteSize) }),
    ...(flags.pids !== undefined && { pidsLimit: positive("--pids", flags.pids, wholeNumber) }),
    ...(flags.init !== undefined && { init: flags.init }),
    ...(flags.timeout !== undefined && { timeoutMs: positive("--timeout", flags.timeout, parseDuration) }),
    ...(flags.mount && { projectDir: context.cwd }),
    ...(keep && { keep }),
    ...(keepOnFailure && { keepOnFailure }),
  };
}

function checkCombination(
  { tty, rm, keep, interactive, detach }: TaskFlags,
  command: readonly string[],
): void {
  if (tty) {
    const words = command.length > 0 ? ` -- ${command.join(" ")}` : "";
    throw new ApexError(
      "usage",
      `-t: apex run gives its command no terminal; apex attach does: apex attach NAME${words}`,
    );
  }
  if (rm && keep) throw new ApexError("usage", "--rm and --keep exclude each other (--rm is the default)");
  if (interactive && detach) {
    throw new ApexError("usage", "-i and -d exclude each other: no client would be left to pass input on");
  }
}

function gpus(text: string): NonNullable<TaskSpecRequest["gpus"]> {
  // Docker wants quotes around a list, inside the shell's.
  const [, devices] = /^device=([^=]+)$/.exec(text.replace(/^"(.*)"$/, "$1")) ?? [];
  if (devices !== undefined && !devices.split(",").includes("")) return devices.split(",");
  if (text === "all") return "all";
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new ApexError("usage", `--gpus: ${JSON.stringify(text)} must be all, a number, or device=ID[,ID…]`);
}

function decimal(text: string): number {
  if (/^\d+(\.\d+)?$|^\.\d+$/.test(text)) return Number(text);
  throw new ApexError("usage", `${JSON.stringify(text)} must be a positive number (try: 2 or 0.5)`);
}

function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ApexError("usage", `${JSON.stringify(text)} must be a positive integer`);
}
