/**
 * The verbs and their options. It is longer than other files because it is the only one that knows commander, which another
 * parser may replace one day. The code of each verb is imported when that verb runs, so that `apex --version` and
 * `apex events` load nothing that they do not need. The verbs that run something themselves come from `main.ts`, because
 * `src/cli` contains only clients.
 */
import {
  Command,
  CommanderError,
  type CommandUnknownOpts,
  InvalidArgumentError,
  Option,
  type OutputConfiguration,
} from "@commander-js/extra-typings";
import { ApexError } from "../platform/apex_error.ts";
import { closestName } from "../platform/closest_name.ts";
import { resolveSockets, type SocketPaths } from "../platform/directories.ts";
import { ENGINE_CHOICES, isEngineChoice, LOG_LEVELS } from "../platform/setting_values.ts";
import { VERSION } from "../protocol/version.ts";
import { WAIT_CONDITIONS } from "../protocol/wait_condition.ts";
import { type DaemonFlags, daemonUse, type SharedOption, takesOption } from "./args/daemon_flags.ts";
import type { BaseContext, CliContext } from "./cli_context.ts";
import type { DaemonCheck } from "./connection/daemon_check.ts";
import * as help from "./help_texts.ts";
import { RUN_FAILED_STATUS, StatusError } from "./output/exit_status.ts";

export type { DaemonFlags };

export interface EngineFlags extends DaemonFlags {
  /** The path of its socket. */
  readonly listen?: string | undefined;
  /** The directory for its containers. */
  readonly dir?: string | undefined;
}

export interface ForegroundFlags extends DaemonFlags {
  /** The path of the log; set by a client that starts the daemon in the background. */
  readonly backgroundLog?: string | undefined;
}

/** The verbs that run something themselves instead of asking the daemon. */
export interface Actions {
  daemon(flags: ForegroundFlags): Promise<void>;
  engine(flags: EngineFlags): Promise<void>;
  demo(flags: DaemonFlags): Promise<void>;
}

export interface RunOptions {
  readonly context: BaseContext;
  readonly actions: Actions;
}

/**
 * Runs a command line. Help and version are printed on stdout.
 *
 * @returns the exit status
 * @throws {UsageError} for invalid arguments; wrapped in a {StatusError} for verbs that exit with the status of a command
 */
export async function runCommandLine(args: readonly string[], options: RunOptions): Promise<number> {
  const { stdout, stderr } = options.context;
  const out: string[] = [];
  const err: string[] = [];
  const tree = new CommandTree({ ...options, args }, {
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
    await tree.program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    failure = error;
  }
  if (failure !== undefined && failure.exitCode !== 0) {
    const misuse = new UsageError(err.join("").trimEnd());
    throw tree.passesStatusOn ? new StatusError(RUN_FAILED_STATUS, misuse) : misuse;
  }
  await stdout.write(new TextEncoder().encode(out.join("")));
  return tree.exitStatus;
}

/** Invalid arguments. The message has several lines: what is wrong, then the usage. */
export class UsageError extends ApexError {
  constructor(message: string) {
    super("usage", message);
  }
}

/** If stdout is not a terminal. */
const HELP_COLUMNS = 80;
/** The verbs that take a command. */
const COMMAND_VERBS = ["run", "attach"];
/** The verbs that exit with the status of a command, so that a failure of apex must not look like one. */
const STATUS_VERBS = [...COMMAND_VERBS, "wait"];
/** The verbs that end or remove something: they are never suggested for a typo. */
const DESTRUCTIVE_VERBS = ["cancel", "clean", "kill", "restart", "stop"];

/** Options that several verbs have. */
const OPTIONS = {
  json: new Option("--json", "print a JSON array with all fields"),
  image: new Option("--image <IMAGE>", "image to use instead of the configured one"),
  network: new Option("--network <MODE>", "none, host, bridge, or the name of a network"),
  env: new Option("-e, --env <KEY=VALUE>", "set a variable; KEY alone copies it from here").argParser(
    collect,
  ),
  envFile: new Option("--env-file <FILE>", "read variables from a file").argParser(collect),
  label: new Option("--label <KEY=VALUE>", "add a label to the container").argParser(collect),
  publish: new Option("-p, --publish <PORT>", "publish a port: [[IP:]HOSTPORT:]PORT[/udp]").argParser(
    collect,
  ),
  volume: new Option("-v, --volume <SOURCE:TARGET>", "mount a directory or volume; append :ro for read-only")
    .argParser(collect),
  workdir: new Option("-w, --workdir <DIR>", "working directory in the container"),
  user: new Option("-u, --user <USER>", "user: NAME, UID or UID:GID"),
  mount: new Option("--mount", "mount the current directory at /workspace, and work there"),
  init: new Option("--init", "run an init process as PID 1 (the default if the engine has one)"),
  noInit: new Option("--no-init", "run the command itself as PID 1"),
  type: new Option("--type <PATTERN>", "select events by type, such as container.*; repeatable")
    .argParser(collect),
  task: new Option("--task <TASK>", "select the events of a task"),
  container: new Option("--container <CONTAINER>", "select the events of a container, by name or id prefix"),
  noJournal: new Option("--no-journal", "keep no events on disk: no history, no resuming after a restart"),
};

/** The commander program, built for one command line. */
class CommandTree {
  readonly program: Command;
  readonly #args: readonly string[];
  readonly #base: BaseContext;
  readonly #context: CliContext;
  readonly #actions: Actions;
  #daemonCheck: DaemonCheck | undefined;
  #exitStatus = 0;
  #passesStatusOn = false;

  constructor(
    { context, actions, args }: RunOptions & { readonly args: readonly string[] },
    output: OutputConfiguration,
  ) {
    this.#args = args;
    this.#base = context;
    this.#actions = actions;
    this.#context = {
      ...context,
      checkDaemon: (sockets) => this.#daemonCheck?.check(sockets) ?? Promise.resolve(),
    };
    this.program = new Command("apex")
      .configureOutput(output)
      .description(
        "Run commands in containers, keep terminal sessions, and stream every container event as JSON.",
      )
      .usage("[OPTIONS] VERB")
      .version(`apex ${VERSION}`, "--version", "print the version")
      .helpOption("-h, --help", "print help")
      .configureHelp({
        subcommandTerm: (command) => command.name(),
        optionTerm: ({ flags }) => withoutBrackets(flags),
      })
      .exitOverride()
      // The options of a verb are its own: `-v` of `run` differs from that of `apex`.
      .enablePositionalOptions()
      .hook("preSubcommand", (_, verb) => {
        this.#passesStatusOn = STATUS_VERBS.includes(verb.name());
      })
      .hook("preAction", async (_, verb) => {
        // The arguments of a command may be empty, names may not.
        if (!COMMAND_VERBS.includes(verb.name()) && verb.args.includes("")) {
          verb.error("error: an argument is empty (is a variable not set?)");
        }
        await this.#checkDaemon(verb);
      })
      .addHelpText("after", help.PROGRAM_HELP);
    this.#addTaskVerbs();
    this.#addSessionVerbs();
    this.#addContainerVerbs();
    this.#addDaemonVerbs();
    this.#addAboutVerbs();
    this.program.on("command:*", ([word]: string[]) => void verbOf(this.program, word ?? ""));
    finishCommand(this.program);
  }

  get exitStatus(): number {
    return this.#exitStatus;
  }

  /** Whether the verb exits with the status of a command. */
  get passesStatusOn(): boolean {
    return this.#passesStatusOn;
  }

  #flagsOf(command: CommandUnknownOpts): DaemonFlags {
    return { ...this.program.opts(), ...command.opts() };
  }

  #sockets(command: CommandUnknownOpts): SocketPaths {
    return resolveSockets({ ...this.#context, socket: this.#flagsOf(command).socket });
  }

  async #checkDaemon(verb: CommandUnknownOpts): Promise<void> {
    const use = daemonUse(pathOf(verb));
    if (use !== "changes" && use !== "reads") return;
    const { DaemonCheck } = await import("./connection/daemon_check.ts");
    const flags = this.#flagsOf(verb);
    this.#daemonCheck = new DaemonCheck({ context: this.#base, flags, isChange: use === "changes" });
    try {
      await this.#daemonCheck.check(this.#sockets(verb));
    } catch (error) {
      const wraps = this.#passesStatusOn && error instanceof Error;
      throw wraps ? new StatusError(RUN_FAILED_STATUS, error) : error;
    }
  }

  #addTaskVerbs(): void {
    const context = this.#context;
    const { program } = this;
    program.commandsGroup("Tasks:");

    describe(program.command("run"), "run a command in a new container", help.RUN_HELP)
      .usage("[OPTIONS] [--] COMMAND [ARG...]")
      .argument("[COMMAND...]")
      .passThroughOptions()
      .option("--task <TASK>", "id of the task (default: a random one)")
      .addOption(OPTIONS.image)
      .addOption(OPTIONS.network)
      .addOption(OPTIONS.env)
      .addOption(OPTIONS.envFile)
      .addOption(OPTIONS.label)
      .addOption(OPTIONS.publish)
      .addOption(OPTIONS.volume)
      .addOption(OPTIONS.workdir)
      .addOption(OPTIONS.user)
      .option("--entrypoint <COMMAND>", "entrypoint to use instead of the image's")
      .option("--gpus <GPUS>", "GPUs to add: all, a number, or device=ID[,ID...]")
      .option("--cpus <NUMBER>", "maximum number of CPUs")
      .option("--memory <SIZE>", "maximum amount of memory")
      .option("--pids <NUMBER>", "maximum number of processes")
      .option("--timeout <DURATION>", "stop the task after this time")
      .addOption(OPTIONS.mount)
      .addOption(OPTIONS.init)
      .addOption(OPTIONS.noInit)
      .option("-i, --interactive", "pass standard input to the command")
      .addOption(
        new Option("--pull <WHEN>", "when to pull the image (default: missing)").choices(
          ["missing", "always", "never"] as const,
        ),
      )
      .option("--rm", "remove the container when the task has ended (the default)")
      .addOption(new Option("-t, --tty", "refused: see apex attach").hideHelp())
      .option("--keep", "keep the container when the task has ended")
      .option("--keep-on-failure", "keep the container if the task fails")
      .option("-d, --detach", "start the task, and print its id")
      .action(async (words, options, command) => {
        const { run } = await import("./commands/run.ts");
        const flags = { ...this.#flagsOf(command), ...options };
        this.#exitStatus = await run(context, { flags, command: words });
      });

    describe(program.command("tasks"), "list tasks", help.TASKS_HELP)
      .option("--all", "include tasks that have ended")
      .addOption(OPTIONS.json)
      .action(async ({ all = false, json = false }, command) => {
        const { tasks } = await import("./commands/tasks.ts");
        await tasks(context, { sockets: this.#sockets(command), all, json });
      });

    describe(
      program.command("wait"),
      "wait until tasks or containers end, or meet a condition",
      help.WAIT_HELP,
    )
      .argument("<TARGET...>")
      .addOption(
        new Option("--for <CONDITION>", "condition to wait for (default: exit)").choices(WAIT_CONDITIONS),
      )
      .option("--all", "wait for all targets (the default)")
      .addOption(new Option("--any", "wait for the first target to meet the condition").conflicts("all"))
      .option("--timeout <DURATION>", "exit with 124 after this time")
      .action(async (targets, flags, command) => {
        const { wait } = await import("./commands/wait.ts");
        this.#exitStatus = await wait(context, { sockets: this.#sockets(command), targets, flags });
      });

    describe(program.command("cancel"), "cancel tasks, pending or running", help.CANCEL_HELP)
      .argument("<TASK...>")
      .action(async (tasks, _, command) => {
        const { cancel } = await import("./commands/tasks.ts");
        this.#exitStatus = await cancel(context, { sockets: this.#sockets(command), tasks });
      });

    describe(program.command("logs"), "print the output of a task or container", help.LOGS_HELP)
      .argument("<TARGET>")
      .option("-f, --follow", "continue until it ends")
      .option("--tail <NUMBER>", "number of lines to start with (default: all)")
      .option("--since <TIME>", "print output since this time, such as 10m or 2025-01-31T12:00:00Z")
      .option("--timestamps", "print the time before each line")
      .action(async (target, flags, command) => {
        const { logs } = await import("./commands/logs.ts");
        await logs(context, { sockets: this.#sockets(command), target, flags });
      });

    const workspacesCommand = describe(
      program.command("workspaces"),
      "list or remove the containers of tasks",
      help.WORKSPACES_HELP,
    )
      .usage("[OPTIONS] [clean]")
      .option("--all", "include those of other apex instances")
      .addOption(OPTIONS.json)
      .enablePositionalOptions()
      .commandsGroup("Verbs:")
      .action(async ({ all = false, json = false }, command) => {
        const { workspaces } = await import("./commands/workspaces.ts");
        await workspaces(context, { sockets: this.#sockets(command), json, all });
      });

    describe(
      workspacesCommand.command("clean"),
      "remove orphaned or named workspaces",
      help.WORKSPACES_CLEAN_HELP,
    )
      .argument("[WORKSPACE...]")
      .option("--instance <ID>", "remove workspaces of another apex instance, even running ones")
      .option("--yes", "do not ask for confirmation")
      .action(async (names, { yes = false, instance }, command) => {
        const { workspacesClean } = await import("./commands/workspaces.ts");
        const options = { sockets: this.#sockets(command), names, yes, instance };
        this.#exitStatus = await workspacesClean(context, options);
      });
  }

  #addSessionVerbs(): void {
    const context = this.#context;
    const { program } = this;
    program.commandsGroup("Sessions:");

    describe(
      program.command("attach"),
      "attach this terminal to a session in a container, creating the session if needed",
      help.ATTACH_HELP,
    )
      .summary("attach to a session, or create one")
      .usage("[OPTIONS] SESSION [-- COMMAND [ARG...]]")
      .argument("<SESSION>")
      .argument("[COMMAND...]")
      .option("-f, --force", "detach another client that is attached")
      .option("-b, --background", "create the session, and do not attach")
      .option("--ttl <DURATION>", "kill the session this long after its creation")
      .addOption(OPTIONS.image)
      .option("--cmd <COMMAND>", "command line to run instead of the configured one")
      .addOption(OPTIONS.network)
      .addOption(OPTIONS.env)
      .addOption(OPTIONS.envFile)
      .addOption(OPTIONS.label)
      .addOption(OPTIONS.publish)
      .addOption(OPTIONS.volume)
      .addOption(OPTIONS.workdir)
      .addOption(OPTIONS.user)
      .addOption(OPTIONS.mount)
      .addOption(OPTIONS.init)
      .addOption(OPTIONS.noInit)
      .option(
        "--restore <MODE>",
        "earlier output to show first: screen, lines=N or none (default in a pipe: none)",
      )
      .option("--detach-keys <KEYS>", "keys that detach (default: Ctrl-Space Ctrl-q)")
      .action(async (name, words, options, command) => {
        const { attach, misplacedWords } = await import("./commands/attach.ts");
        const misplaced = misplacedWords(this.#args, { name, command: words });
        if (misplaced !== undefined) command.error(`error: ${misplaced}`);
        const flags = { ...this.#flagsOf(command), ...options };
        this.#exitStatus = await attach(context, { flags, name, command: words });
      });

    describe(program.command("list"), "list sessions", help.LIST_HELP)
      .addOption(OPTIONS.json)
      .action(async ({ json = false }, command) => {
        const { list } = await import("./commands/sessions.ts");
        await list(context, { sockets: this.#sockets(command), json });
      });

    describe(program.command("detach"), "detach the clients of sessions, which continue", help.DETACH_HELP)
      .argument("[SESSION...]")
      .action(async (names, _, command) => {
        const { detach } = await import("./commands/sessions.ts");
        this.#exitStatus = await detach(context, { sockets: this.#sockets(command), names });
      });

    describe(program.command("kill"), "end sessions", help.KILL_HELP)
      .argument("[SESSION...]")
      .action(async (names, _, command) => {
        const { kill } = await import("./commands/sessions.ts");
        this.#exitStatus = await kill(context, { sockets: this.#sockets(command), names });
      });
  }

  #addContainerVerbs(): void {
    const context = this.#context;
    const { program } = this;
    program.commandsGroup("Containers:");

    describe(
      program.command("events"),
      "print events as they happen, one JSON object per line (see EVENTS.md)",
      help.EVENTS_HELP,
    )
      .summary("print events as they happen")
      .addOption(OPTIONS.type)
      .addOption(OPTIONS.task)
      .addOption(OPTIONS.container)
      .option("--after <CURSOR>", "start after this cursor")
      .option("--since <TIME>", "start at this time, such as 10m or 2025-01-31T12:00:00Z")
      .option("--snapshot", "first print the existing containers, sessions and tasks, in one line")
      .option("--reconnect", "continue across restarts of the daemon, without loss or repetition")
      .option("--cursor-file <FILE>", "resume from the cursor in FILE, and save it there")
      .option("--limit <NUMBER>", "exit after this many events")
      .option("--timeout <DURATION>", "exit with 124 after this time")
      .option("--seq", 'add the field "cursor" to each event')
      .option("--fail-on-gap", "exit with 6 if events are missing")
      .option("--heartbeat <DURATION>", "interval of heartbeats; exit with 6 if three are missing")
      .action(async (options, command) => {
        const { events } = await import("./commands/events.ts");
        const flags = { ...this.#flagsOf(command), ...options };
        this.#exitStatus = await events(context, { flags });
      });

    describe(program.command("history"), "print events of the past, oldest first", help.HISTORY_HELP)
      .addOption(OPTIONS.type)
      .addOption(OPTIONS.task)
      .addOption(OPTIONS.container)
      .option("--since <TIME>", "print events since this time")
      .option("--until <TIME>", "print events before this time")
      .option("--limit <NUMBER>", "print only the newest events (default: 100; with --json: all)")
      .option("--json", "print one JSON object per line")
      .action(async (flags, command) => {
        const { history } = await import("./commands/history.ts");
        await history(context, { sockets: this.#sockets(command), flags });
      });

    describe(program.command("ps"), "list containers of the engine, running or not", help.PS_HELP)
      .addOption(OPTIONS.json)
      .action(async ({ json = false }, command) => {
        const { ps } = await import("./commands/containers.ts");
        await ps(context, { sockets: this.#sockets(command), json });
      });

    describe(
      program.command("inspect"),
      "print all details of tasks or containers as JSON",
      help.INSPECT_HELP,
    )
      .argument("<TARGET...>")
      .action(async (targets, _, command) => {
        const { inspect } = await import("./commands/containers.ts");
        this.#exitStatus = await inspect(context, { sockets: this.#sockets(command), targets });
      });
  }

  #addDaemonVerbs(): void {
    const context = this.#context;
    const { program } = this;
    program.commandsGroup("Daemon:");

    describe(
      program.command("daemon"),
      "run the daemon, in the foreground or in the background",
      help.DAEMON_HELP,
    )
      .option("-d, --detach", "start it in the background; return when it is connected to its engine")
      .addOption(OPTIONS.noJournal)
      .addOption(new Option("--background-log <PATH>").hideHelp())
      .action(async ({ detach = false, backgroundLog, journal }, command) => {
        const flags = { ...this.#flagsOf(command), journal };
        if (!detach) return await this.#actions.daemon({ ...flags, backgroundLog });
        const { startInBackground } = await import("./commands/daemon.ts");
        await startInBackground(context, flags);
      });

    describe(program.command("stop"), "stop the daemon; tasks and sessions continue", help.STOP_HELP)
      .action(async (_, command) => {
        const { stop } = await import("./commands/daemon.ts");
        await stop(context, this.#sockets(command));
      });

    describe(
      program.command("restart"),
      "stop the daemon, and start it again in the background",
      help.RESTART_HELP,
    )
      .addOption(OPTIONS.noJournal)
      .action(async ({ journal }, command) => {
        const { restart } = await import("./commands/daemon.ts");
        await restart(context, { ...this.#flagsOf(command), journal });
      });

    describe(program.command("status"), "show daemon status")
      .option("--json", "print a JSON object")
      .action(async ({ json = false }, command) => {
        const { status } = await import("./commands/daemon.ts");
        await status(context, { sockets: this.#sockets(command), json });
      });

    describe(program.command("engine"), "run the embedded engine in the foreground", help.ENGINE_HELP)
      .option("--listen <PATH>", "its socket (default: engine.socket beside the daemon's)")
      .option("--dir <DIR>", "directory for its containers (default: in the state directory)")
      .action((_, command) => this.#actions.engine(this.#flagsOf(command)));
  }

  #addAboutVerbs(): void {
    const { program } = this;
    program.commandsGroup("About:").helpCommand(false);

    describe(program.command("help"), "print help for a verb")
      .argument("[VERB...]")
      .action((words) => {
        let about: CommandUnknownOpts = program;
        for (const word of words) about = verbOf(about, word);
        about.help();
      });

    describe(program.command("demo"), "show how apex works; needs nothing installed", help.DEMO_HELP)
      .action((_, command) => this.#actions.demo(this.#flagsOf(command)));

    describe(program.command("version"), "print the version")
      .option("--json", "print a JSON object: apex, control protocol, runtime, platform")
      .action(async ({ json = false }) => {
        const { version } = await import("./commands/daemon.ts");
        await version(this.#context, { json });
      });
  }
}

/** Gives a verb its texts. @param what an imperative, such as `list tasks` */
function describe<T extends CommandUnknownOpts>(command: T, what: string, details = ""): T {
  command.summary(what).description(`${what[0]?.toUpperCase()}${what.slice(1)}.`).addHelpText(
    "after",
    details,
  );
  return command;
}

/** Adds to a verb what all verbs have, and the shared options that affect it. The program itself takes all of them. */
function finishCommand(command: CommandUnknownOpts): void {
  const isTaken = (flag: string) => command.options.some(({ short }) => short === flag);
  const verbose = isTaken("-v") ? "--verbose" : "-v, --verbose";
  const daemonize = isTaken("-d") ? "--daemonize" : "-d, --daemonize";
  const verb = pathOf(command);
  const isProgram = verb === "";
  const whose = isProgram ? "run, attach, events: " : "";
  const shared: readonly (readonly [SharedOption, Option])[] = [
    ["socket", new Option("--socket <PATH>", "control socket of the daemon; events.socket is beside it")],
    ["config", new Option("--config <FILE>", "configuration file (default: ~/.config/apex/config.toml)")],
    ["engine", new Option("--engine <ENGINE>", ENGINE_CHOICES).argParser(engineChoice)],
    ["log", new Option(verbose, "same as --log-level debug")],
    ["log", new Option("--log-level <LEVEL>", "log level of the daemon").choices(LOG_LEVELS)],
    ["daemonize", new Option(daemonize, `${whose}start a daemon if none is running (the default)`)],
    ["daemonize", new Option("-D, --no-daemonize", `${whose}do not start a daemon`)],
  ];
  for (const [name, option] of shared) {
    if (isProgram || takesOption(verb, name)) command.addOption(option.helpGroup("Global options:"));
  }
  const usage = withoutBrackets(command.usage()).replace("[options]", "[OPTIONS]");
  const name = `apex ${verb}`.trimEnd();
  command.usage(usage).helpOption("-h, --help", "print help").allowExcessArguments(false)
    .showHelpAfterError(`usage: ${name} ${usage}\ntry: ${name} --help`);
  for (const subcommand of command.commands) finishCommand(subcommand);
}

/** The words of a verb after `apex`: `workspaces clean`. */
function pathOf(command: CommandUnknownOpts): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}`.trimStart() : "";
}

/** @throws {CommanderError} if there is no such verb, with a suggestion if that is harmless */
function verbOf(command: CommandUnknownOpts, word: string): CommandUnknownOpts {
  const verb = command.commands.find((each) => each.name() === word);
  if (verb !== undefined) return verb;
  const meant = closestName(word, command.commands.map((each) => each.name()));
  const isHarmless = meant !== undefined && !DESTRUCTIVE_VERBS.includes(meant);
  command.error(`error: unknown verb '${word}'${isHarmless ? `\n(did you mean ${meant}?)` : ""}`);
}

/** Commander requires angle brackets around placeholders; help and messages show them in capitals only. */
function withoutBrackets(text: string): string {
  return text.replace(/<([^>]+)>/g, "$1");
}

function inOurWords(text: string): string {
  return withoutBrackets(text).replace(/^error: /, "apex: ").replace("(Did you mean", "(did you mean");
}

function engineChoice(value: string): string {
  if (isEngineChoice(value)) return value;
  throw new InvalidArgumentError(`It must be ${ENGINE_CHOICES}.`);
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...before ?? [], value];
}
