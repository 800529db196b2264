/**
 * The verbs, their options and their help: the one file that knows commander. Each verb's code is imported when that
 * verb runs, so `apex --version` and `apex events` load nothing that they do not need. What starts a daemon comes from
 * `main.ts`: this folder knows clients only.
 */
import {
  Command,
  CommanderError,
  InvalidArgumentError,
  Option,
  type OutputConfiguration,
} from "@commander-js/extra-typings";
import { ApexError } from "../platform/apex_error.ts";
import { resolveSockets } from "../platform/directories.ts";
import { ENGINE_CHOICES, isEngineChoice } from "../platform/engine_choice.ts";
import { LOG_LEVELS, type LogLevel } from "../platform/log_level.ts";
import { VERSION } from "../protocol/version.ts";
import type { CliContext } from "./cli_context.ts";

/** Options that every verb takes, before or after its name. */
export interface GlobalOptions {
  readonly socket?: string | undefined;
  readonly config?: string | undefined;
  readonly verbose?: true | undefined;
  readonly logLevel?: LogLevel | undefined;
}

export interface DaemonFlags extends GlobalOptions {
  readonly engine?: string | undefined;
}

export interface EngineFlags extends GlobalOptions {
  /** Where it listens, instead of beside the daemon's sockets. */
  readonly listen?: string | undefined;
  /** Where it keeps its containers, instead of the state directory. */
  readonly dir?: string | undefined;
}

/** The verbs that run something themselves rather than ask the daemon. */
export interface Actions {
  daemon(flags: DaemonFlags): Promise<void>;
  engine(flags: EngineFlags): Promise<void>;
  demo(flags: GlobalOptions): Promise<void>;
}

export interface RunOptions {
  readonly context: CliContext;
  readonly actions: Actions;
}

/**
 * Does what the arguments say. Help and version go to stdout.
 *
 * @throws {UsageError} for arguments that make no sense.
 */
export async function runCommandLine(args: readonly string[], options: RunOptions): Promise<void> {
  const { stdout, stderr } = options.context;
  const out: string[] = [];
  const err: string[] = [];
  const program = buildProgram(options, {
    writeOut: (text) => out.push(text),
    writeErr: (text) => err.push(text),
    outputError: (text, write) => write(inOurWords(text)),
    getOutHelpWidth: () => stdout.columns ?? HELP_COLUMNS,
    getErrHelpWidth: () => stderr.columns ?? HELP_COLUMNS,
    getOutHasColors: () => stdout.colors,
    getErrHasColors: () => stderr.colors,
  });
  let failure: CommanderError | undefined;
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    failure = error;
  }
  if (failure !== undefined && failure.exitCode !== 0) throw new UsageError(err.join("").trimEnd());
  await stdout.write(new TextEncoder().encode(out.join("")));
}

/** The arguments made no sense. The message is several lines: what is wrong, then the usage. */
export class UsageError extends ApexError {
  constructor(message: string) {
    super("usage", message);
  }
}

const HELP_COLUMNS = 100;

function inOurWords(text: string): string {
  return text.replace(/^error: /, "apex: ").replace(/^apex: unknown command/, "apex: unknown verb")
    .replace("(Did you mean", "(did you mean");
}

function buildProgram({ context, actions }: RunOptions, output: OutputConfiguration) {
  // What follows is inherited by every verb that is added after it.
  const program = new Command("apex")
    .configureOutput(output)
    .description("Follows a container engine and streams every change, one JSON object per line.")
    .usage("[options] <verb>")
    .version(`apex ${VERSION}`, "--version", "print the version")
    .helpOption("-h, --help", "print help")
    .commandsGroup("Verbs:")
    .helpCommand("help [verb]", "print help for a verb")
    .configureHelp({ showGlobalOptions: true, subcommandTerm: (command) => command.name() })
    .exitOverride()
    .allowExcessArguments(false)
    .option("--socket <path>", "the daemon's control socket; events.socket is beside it")
    .option("--config <file>", "the configuration, instead of ~/.config/apex/config.toml")
    .option("-v, --verbose", "the same as --log-level debug")
    .addOption(new Option("--log-level <level>", "how much the daemon logs").choices(LOG_LEVELS))
    .addHelpText("after", PROGRAM_HELP);
  const sockets = (flags: GlobalOptions) => resolveSockets({ ...context, socket: flags.socket });

  program.command("daemon")
    .summary("run the daemon in the foreground")
    .description("Runs the daemon in the foreground; SIGTERM, SIGINT or SIGHUP end it cleanly.")
    .option("--engine <engine>", `which engine: ${ENGINE_CHOICES} (default: auto)`, engineChoice)
    .addHelpText("after", DAEMON_HELP)
    .action((_, command) => actions.daemon(command.optsWithGlobals()));

  program.command("engine")
    .summary("run the embedded engine in the foreground")
    .description(
      "Runs the embedded engine: the Docker Engine API over a Unix socket, with local processes as containers.\n" +
        "It isolates nothing: what it runs can do whatever you can. A daemon with --engine embedded starts it.",
    )
    .option("--listen <path>", "its socket, instead of engine.socket beside the daemon's")
    .option("--dir <path>", "where it keeps its containers, instead of the state directory")
    .action((_, command) => actions.engine(command.optsWithGlobals()));

  program.command("demo")
    .summary("show what apex does; needs nothing installed")
    .description(
      "Starts a daemon of its own on the embedded engine, runs a few tasks that succeed, fail, are killed and turn\n" +
        "unhealthy, prints their events with a line of explanation each, and cleans up.",
    )
    .action((_, command) => actions.demo(command.optsWithGlobals()));

  program.command("events")
    .summary("print every event as it happens, one JSON object per line")
    .description("Prints every event from now on as it happens, one JSON object per line (see EVENTS.md).")
    .addHelpText("after", EVENTS_HELP)
    .action(async (_, command) => {
      const { events } = await import("./events.ts");
      await events(context, { sockets: sockets(command.optsWithGlobals()) });
    });

  program.command("ps")
    .summary("list containers")
    .description("Lists the containers that the engine has, running or not, newest first.")
    .option("--json", "one JSON array, each container with all its fields")
    .addHelpText("after", PS_HELP)
    .action(async ({ json = false }, command) => {
      const { ps } = await import("./ps.ts");
      await ps(context, { sockets: sockets(command.optsWithGlobals()), json });
    });

  program.command("status")
    .summary("tell how the daemon is")
    .description("Tells how the daemon is: its engine, its subscribers, its log.")
    .option("--json", "one JSON object")
    .action(async ({ json = false }, command) => {
      const { status } = await import("./status.ts");
      await status(context, { sockets: sockets(command.optsWithGlobals()), json });
    });

  program.command("version")
    .summary("print the version")
    .description("Prints the version.")
    .option("--json", "one JSON object: apex, control protocol, runtime, platform")
    .action(async ({ json = false }) => {
      const { version } = await import("./version.ts");
      await version(context, { json });
    });

  program.showHelpAfterError(usageLine(program));
  for (const command of program.commands) {
    command.allowExcessArguments(false).showHelpAfterError(usageLine(command)).helpOption(
      "-h, --help",
      "print help",
    );
  }
  return program;
}

function usageLine(command: { name(): string; usage(): string; parent: unknown }): string {
  const name = command.parent ? `apex ${command.name()}` : command.name();
  return `usage: ${name} ${command.usage()}\ntry: ${name} --help`;
}

function engineChoice(value: string): string {
  if (isEngineChoice(value)) return value;
  throw new InvalidArgumentError(`It must be ${ENGINE_CHOICES}.`);
}

const PROGRAM_HELP = `
Exit status:
  0 done, 1 failed, 2 usage, 3 no daemon, 4 no such name, 5 busy or conflict,
  6 the event stream ended before it should, 124 timeout, 130 interrupted

Start with:
  apex demo                                see it work; needs nothing installed
  apex daemon                              follow the engine that is here
  apex events | jq -c 'select(.type == "container.died")'`;

const DAEMON_HELP = `
Engines:
  auto        DOCKER_HOST, DOCKER_CONTEXT, the current Docker context, then the usual sockets
  docker      the same, Docker's only
  podman      Podman's sockets
  embedded    containers are local processes, nothing is isolated; auto never takes it
  unix://…    that socket`;

const EVENTS_HELP = `
It ends with 0 when the daemon shuts down or the reader of its output goes away, and with 6 when the stream broke off:
this reader was too slow, or the daemon was killed.

Examples:
  apex events | jq -c .
  apex events | jq -r 'select(.type == "container.died") | "\\(.containerName) \\(.exitCode)"'
  apex events | jq -c 'select(.taskId == "build-7")'
  apex events | grep --line-buffered '"type":"container.health"'`;

const PS_HELP = `
Examples:
  apex ps
  apex ps --json | jq -r '.[] | select(.state == "running") | .name'`;
