/**
 * argv → verb → exit status. The only place that exits, and the home of the signal handlers: what runs something itself
 * gets a signal that SIGINT, SIGTERM and SIGHUP abort; the second of them ends the process at once. Clients have nothing
 * to clean up, and the system ends them, unless a verb takes a signal over (`apex run` passes it on). Here `cli`, which knows clients only, meets the parts that run something;
 * those are imported when their verb runs.
 */
import { resolve } from "@std/path/posix";
import { daemonArguments } from "./src/cli/args/daemon_flags.ts";
import type { BaseContext, VerbSignal } from "./src/cli/cli_context.ts";
import { type Actions, type DaemonFlags, runCommandLine, UsageError } from "./src/cli/command_tree.ts";
import { openOutput, OutputClosedError } from "./src/cli/output/output.ts";
import { StatusError } from "./src/cli/output/status_error.ts";
import { printable } from "./src/cli/output/table.ts";
import { openInput } from "./src/cli/terminal/input.ts";
import { ApexError, EXIT_STATUS, systemErrorPath, systemReason } from "./src/platform/apex_error.ts";
import { resolvePaths } from "./src/platform/directories.ts";

/** Exit status of a process that a signal ended is 128 and the signal's number, as in a shell. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

class Interrupted extends ApexError {
  readonly exitStatus: number;

  constructor(name: string, number: number) {
    super("interrupted", `interrupted by ${name}`);
    this.exitStatus = 128 + number;
  }
}

function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  for (const [name, number] of Object.entries(SIGNALS)) {
    Deno.addSignalListener(name as Deno.Signal, () => {
      const interrupted = new Interrupted(name, number);
      if (controller.signal.aborted) Deno.exit(interrupted.exitStatus);
      controller.abort(interrupted);
    });
  }
  return controller.signal;
}

/** For a verb: calls the listener instead of ending the process, until the returned function is called. */
function onSignal(name: VerbSignal, listener: () => void): () => void {
  Deno.addSignalListener(name, listener);
  return () => Deno.removeSignalListener(name, listener);
}

/**
 * Once descriptors have run out, formatting the first stack ends the runtime (and so does the first signal listener): for
 * what listens, both come before. It takes milliseconds that the other verbs need not spend.
 */
function prepareForFewDescriptors(): void {
  void new Error().stack;
}

/** How to start this same program again. */
function selfCommand(): string[] {
  if (Deno.build.standalone) return [Deno.execPath()];
  return [Deno.execPath(), "run", "--allow-all", "--quiet", import.meta.filename ?? import.meta.url];
}

function actionsIn(context: BaseContext): Actions {
  const { env, cwd, stdout, stderr, selfCommand } = context;
  const settings = async (flags: DaemonFlags) => {
    const { loadConfig } = await import("./src/platform/config.ts");
    const paths = resolvePaths({ ...context, ...flags });
    const logLevel = flags.verbose ? "debug" : flags.logLevel;
    return { paths, config: await loadConfig({ paths, env, flags: { ...flags, logLevel } }) };
  };
  return {
    async daemon(flags) {
      prepareForFewDescriptors();
      const signal = listenForSignals();
      const { paths, config } = await settings(flags);
      const { runDaemon } = await import("./src/daemon/daemon.ts");
      const { backgroundLog } = flags;
      await runDaemon({
        paths,
        config,
        signal,
        selfCommand,
        flags: daemonArguments(flags, paths),
        backgroundLog,
      });
    },
    async engine(flags) {
      prepareForFewDescriptors();
      const signal = listenForSignals();
      const { paths, config } = await settings(flags);
      const { openProcessLog } = await import("./src/platform/process_logger.ts");
      const { startEmbeddedEngine } = await import("./src/embedded_engine/embedded_engine.ts");
      const { listen, dir } = flags;
      if (listen === "" || dir === "") {
        throw new ApexError(
          "usage",
          `--${listen === "" ? "listen" : "dir"}: the path is empty; is a variable not set?`,
        );
      }
      using logger = openProcessLog(config.logLevel);
      await using engine = await startEmbeddedEngine({
        dir: dir === undefined ? paths.engineDir : resolve(cwd, dir),
        socketPath: listen === undefined ? paths.engineSocket : resolve(cwd, listen),
        socketDirIsChosen: listen !== undefined || paths.runtimeDirIsChosen,
        logger,
        signal,
      });
      await engine.closed;
    },
    async demo() {
      const signal = listenForSignals();
      const { runDemo } = await import("./src/demo/run_demo.ts");
      await runDemo({
        signal,
        selfCommand,
        print: (line) => stdout.print(line),
        explain: (line) => stderr.print(line),
      });
      signal.throwIfAborted();
    },
  };
}

/** Tells people what went wrong; what the shell is told is returned. */
async function report(error: unknown, { stderr }: BaseContext): Promise<number> {
  // What was cut short says so by throwing its signal's reason.
  if (error instanceof Interrupted) return error.exitStatus;
  if (error instanceof OutputClosedError) return 0;
  try {
    await stderr.print(describe(error instanceof StatusError ? error.cause : error));
  } catch (failure) {
    // Nobody can read what went wrong; the exit status still tells.
    if (!(failure instanceof OutputClosedError || failure instanceof ApexError)) throw failure;
  }
  if (error instanceof StatusError) return error.exitStatus;
  return error instanceof ApexError ? EXIT_STATUS[error.code] : EXIT_STATUS.failed;
}

function describe(error: unknown): string {
  if (error instanceof UsageError) return error.message;
  // A message has what a user or an engine said, and a terminal obeys what it is sent.
  if (error instanceof ApexError) return `apex: ${error.message.split("\n").map(printable).join("\n")}`;
  const reason = systemReason(error);
  const path = error instanceof Error ? systemErrorPath(error) : undefined;
  if (reason !== undefined && path !== undefined) return `apex: ${path}: ${reason}`;
  const details = error instanceof Error ? error.stack ?? error.message : String(error);
  return `apex: this is a bug in apex, please report it:\n${details}`;
}

async function main(): Promise<number> {
  const env = (name: string) => Deno.env.get(name);
  const context: BaseContext = {
    env,
    cwd: Deno.cwd(),
    stdin: openInput(Deno.stdin),
    stdout: openOutput(Deno.stdout, env),
    stderr: openOutput(Deno.stderr, env),
    now: () => Date.now(),
    selfCommand: selfCommand(),
    onSignal,
  };
  try {
    return await runCommandLine(Deno.args, { context, actions: actionsIn(context) });
  } catch (error) {
    return await report(error, context);
  }
}

Deno.exit(await main());
