/**
 * The entry point: command line → verb → exit status. Only this file exits, and only this file installs signal handlers. The
 * verbs that run something themselves (`daemon`, `engine`, `demo`) get an `AbortSignal` that SIGINT, SIGTERM and SIGHUP
 * abort; the second of these signals exits at once. Clients have nothing to clean up, so a signal simply ends them, unless
 * the verb handles it (`apex run` forwards it). This file also connects `src/cli`, which contains only clients, with the
 * parts that run something; those are imported when their verb runs.
 */
import { resolve } from "@std/path/posix";
import { daemonArguments, type DaemonFlags } from "./src/cli/args/daemon_flags.ts";
import type { BaseContext, VerbSignal } from "./src/cli/cli_context.ts";
import { type Actions, runCommandLine, UsageError } from "./src/cli/command_tree.ts";
import { StatusError } from "./src/cli/output/exit_status.ts";
import { printable } from "./src/cli/output/table.ts";
import { openInput, openOutput, OutputClosedError } from "./src/cli/standard_streams.ts";
import { ApexError, EXIT_STATUS, systemErrorPath, systemReason } from "./src/platform/apex_error.ts";
import { resolvePaths } from "./src/platform/directories.ts";
import { exitCodeOfSignal } from "./src/platform/signals.ts";

class Interrupted extends ApexError {
  readonly exitStatus: number;

  constructor(signal: Deno.Signal) {
    super("interrupted", `interrupted by ${signal}`);
    this.exitStatus = exitCodeOfSignal(signal);
  }
}

/** Aborted by the first signal; the second one exits. */
function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      const interrupted = new Interrupted(signal);
      if (controller.signal.aborted) Deno.exit(interrupted.exitStatus);
      controller.abort(interrupted);
    });
  }
  return controller.signal;
}

/** For verbs: calls `listener` instead of ending the process; the returned function restores the default. */
function onSignal(name: VerbSignal, listener: () => void): () => void {
  Deno.addSignalListener(name, listener);
  return () => Deno.removeSignalListener(name, listener);
}

/**
 * When no file descriptors are left, the first formatting of a stack trace crashes the runtime, as does the first signal
 * handler. So servers do both at the start. It takes milliseconds, which the other verbs save.
 */
function prepareForFewDescriptors(): void {
  void new Error().stack;
}

/** The command line that starts this program again. */
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
      const abort = abortOnSignals();
      const { paths, config } = await settings(flags);
      const { runDaemon } = await import("./src/daemon/daemon.ts");
      const { backgroundLog } = flags;
      await runDaemon({
        paths,
        config,
        abort,
        selfCommand,
        flags: daemonArguments(flags, paths),
        backgroundLog,
      });
    },
    async engine(flags) {
      prepareForFewDescriptors();
      const abort = abortOnSignals();
      const { paths, config } = await settings(flags);
      const { openProcessLog } = await import("./src/platform/process_logger.ts");
      const { startEmbeddedEngine } = await import("./src/embedded_engine/embedded_engine.ts");
      const { listen, dir } = flags;
      if (listen === "" || dir === "") {
        throw new ApexError(
          "usage",
          `--${listen === "" ? "listen" : "dir"}: the path is empty (is a variable not set?)`,
        );
      }
      using logger = openProcessLog(config.logLevel);
      await using engine = await startEmbeddedEngine({
        dir: dir === undefined ? paths.engineDir : resolve(cwd, dir),
        socketPath: listen === undefined ? paths.engineSocket : resolve(cwd, listen),
        socketDirIsChosen: listen !== undefined || paths.runtimeDirIsChosen,
        logger,
        abort,
      });
      await engine.closed;
    },
    async demo() {
      const abort = abortOnSignals();
      const { runDemo } = await import("./src/demo/run_demo.ts");
      await runDemo({
        abort,
        selfCommand,
        print: (line) => stdout.print(line),
        explain: (line) => stderr.print(line),
      });
      abort.throwIfAborted();
    },
  };
}

/** Prints an error. @returns the exit status */
async function report(error: unknown, { stderr }: BaseContext): Promise<number> {
  // The parts that run something throw the reason of their abort.
  if (error instanceof Interrupted) return error.exitStatus;
  if (error instanceof OutputClosedError) return 0;
  try {
    await stderr.print(describe(error instanceof StatusError ? error.cause : error));
  } catch (failure) {
    // Standard error cannot be written. The exit status still reports the failure.
    if (!(failure instanceof OutputClosedError || failure instanceof ApexError)) throw failure;
  }
  if (error instanceof StatusError) return error.exitStatus;
  return error instanceof ApexError ? EXIT_STATUS[error.code] : EXIT_STATUS.failed;
}

function describe(error: unknown): string {
  if (error instanceof UsageError) return error.message;
  // Messages quote users and engines, and a terminal would obey control characters.
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
