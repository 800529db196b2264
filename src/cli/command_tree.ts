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
  type OptionValues,
  type OutputConfiguration,
} from "@commander-js/extra-typings";
import { ApexError } from "../platform/apex_error.ts";
import { closestName } from "../platform/closest_name.ts";
import { resolveSockets, type SocketPaths } from "../platform/directories.ts";
import { ENGINE_CHOICES, isEngineChoice, LOG_LEVELS } from "../platform/setting_values.ts";
import type { WaitCondition } from "../protocol/container_operations.ts";
import { VERSION } from "../protocol/version.ts";
import { type DaemonFlags, daemonUse, type SharedOption, takesOption } from "./args/daemon_flags.ts";
import type { BaseContext, CliContext } from "./cli_context.ts";
import type { DaemonCheck } from "./connection/daemon_check.ts";
import * as help from "./help_texts.ts";
import { RUN_FAILED_STATUS, StatusError } from "./output/exit_status.ts";

/** The verbs that run something themselves instead of asking the daemon. */
export interface Actions {
  /** @param flags `backgroundLog`: the path of the log, set by a client that starts the daemon in the background */
  daemon(flags: DaemonFlags & { readonly backgroundLog?: string | undefined }): Promise<void>;
  /** @param flags `listen`: the path of its socket; `dir`: the directory for its containers */
  engine(flags: DaemonFlags & { readonly [F in "listen" | "dir"]?: string | undefined }): Promise<void>;
  demo(flags: DaemonFlags): Promise<void>;
}

interface RunOptions {
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
    const misuse = new UsageError("usage", err.join("").trimEnd());
    throw tree.passesStatusOn ? new StatusError(RUN_FAILED_STATUS, misuse) : misuse;
  }
  await stdout.write(new TextEncoder().encode(out.join("")));
  return tree.exitStatus;
}

/** Invalid arguments. The message has several lines: what is wrong, then the usage. */
export class UsageError extends ApexError {}

/** If stdout is not a terminal. */
const HELP_COLUMNS = 80;
/** The verbs that take a command. */
const COMMAND_VERBS = ["run", "attach"];
/** The verbs that exit with the status of a command, so that a failure of apex must not look like one. */
const STATUS_VERBS = [...COMMAND_VERBS, "wait"];
/** The verbs that end or remove something: they are never suggested for a typo. */
const DESTRUCTIVE_VERBS = ["cancel", "clean", "kill", "restart", "stop"];

const GLOBAL_OPTIONS = "Global options:";
const PULL_POLICIES = ["missing", "always", "never"] as const;
/** Not imported, because their module also loads the schemas, which delays the start of every verb. */
const WAIT_CONDITIONS = [
  "exit",
  "running",
  "healthy",
  "unhealthy",
  "removed",
] as const satisfies WaitCondition[];

/** Options that several verbs have; see also {@linkcode withContainerOptions}. */
const OPTIONS = {
  json: new Option("--json", "print a JSON array with all fields"),
  type: new Option("--type <PATTERN>", "select events by type, such as container.*; repeatable")
    .argParser(collect),
  task: new Option("--task <TASK>", "select the events of a task"),
  container: new Option("--container <CONTAINER>", "select the events of a container, by name or id prefix"),
  noJournal: new Option(
    "--no-journal",
    "keep no events on disk (disables history, and resuming after a restart)",
  ),
};

/** The commander program, built for one command line. */
class CommandTree {
  readonly program: Command;
  exitStatus = 0;
  /** Whether the verb exits with the status of a command. */
  passesStatusOn = false;
  readonly #args: readonly string[];
  readonly #context: CliContext;
  readonly #actions: Actions;
  #daemonCheck: DaemonCheck | undefined;

  constructor(
    { context, actions, args }: RunOptions & { readonly args: readonly string[] },
    output: OutputConfiguration,
  ) {
    this.#args = args;
    this.#actions = actions;
    this.#context = { ...context, checkDaemon: async (sockets) => await this.#daemonCheck?.check(sockets) };
    this.program = describe(new Command("apex"), help.PROGRAM)
      .configureOutput(output)
      .usage("[OPTIONS] VERB")
      .version(`apex ${VERSION}`, "--version", "print the version")
      .helpOption("-h, --help", "print help")
      .configureHelp({
        subcommandTerm: (command) => command.name(),
        optionTerm: ({ flags }) => withoutBrackets(flags),
        optionDescription: ({ description }) => description,
        groupItems: (_, items, groupOf) => {
          const isGlobal = (item: typeof items[number]) => groupOf(item) === GLOBAL_OPTIONS ? 1 : 0;
          return Map.groupBy(items.toSorted((a, b) => isGlobal(a) - isGlobal(b)), groupOf);
        },
      })
      .exitOverride()
      // The options of a verb are its own: `-v` of `run` differs from that of `apex`.
      .enablePositionalOptions()
      .hook("preSubcommand", (_, verb) => {
        this.passesStatusOn = STATUS_VERBS.includes(verb.name());
      })
      .hook("preAction", async (_, verb) => {
        // The arguments of a command may be empty, names may not.
        if (!COMMAND_VERBS.includes(verb.name()) && verb.args.includes("")) {
          verb.error("error: an argument is empty (is a variable not set?)");
        }
        await this.#checkDaemon(verb);
      });
    this.#addTaskVerbs();
    this.#addSessionVerbs();
    this.#addContainerVerbs();
    this.#addOtherVerbs();
    this.program.on("command:*", ([word]: string[]) => void verbOf(this.program, word ?? ""));
    finishCommand(this.program);
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
    this.#daemonCheck = new DaemonCheck({ context: this.#context, flags, isChange: use === "changes" });
    try {
      await this.#daemonCheck.check(this.#sockets(verb));
    } catch (error) {
      const wraps = this.passesStatusOn && error instanceof Error;
      throw wraps ? new StatusError(RUN_FAILED_STATUS, error) : error;
    }
  }

  #addTaskVerbs(): void {
    const { program } = this;
    const context = this.#context;
    program.commandsGroup("Tasks:");

    withContainerOptions(
      describe(program.command("run"), help.RUN)
        .usage("[OPTIONS] [--] COMMAND [ARG...]")
        .argument("[COMMAND...]")
        .passThroughOptions()
        .option("--task <TASK>", "id of the task (default: a random one)")
        .option("-d, --detach", "start the task, and print its id")
        .option("-i, --interactive", "pass standard input to the command")
        .addOption(new Option("-t, --tty", "refused: see apex attach").hideHelp())
        .option("--timeout <DURATION>", "stop the task after this time")
        .option("--rm", "remove the container when the task has ended (the default)")
        .option("--keep", "keep the container when the task has ended")
        .option("--keep-on-failure", "keep the container if the task fails")
        .addOption(
          new Option("--pull <WHEN>", "when to pull the image: missing (the default), always or never")
            .choices(PULL_POLICIES),
        )
        .option("--entrypoint <COMMAND>", "entrypoint to use instead of the image's")
        .option("--cpus <NUMBER>", "maximum number of CPUs")
        .option("--memory <SIZE>", "maximum amount of memory")
        .option("--pids <NUMBER>", "maximum number of processes")
        .option("--gpus <GPUS>", "GPUs to make available: all, a number, or device=ID[,ID...]"),
    )
      .action(async (words, options, command) => {
        const { run } = await import("./commands/run.ts");
        const flags = { ...this.#flagsOf(command), ...options };
        this.exitStatus = await run(context, { flags, command: words });
      });

    describe(program.command("tasks"), help.TASKS)
      .option("--all", "include tasks that have ended")
      .addOption(OPTIONS.json)
      .action(async (flags, command) => {
        const { tasks } = await import("./commands/tasks.ts");
        await tasks(context, { sockets: this.#sockets(command), ...flags });
      });

    describe(program.command("wait"), help.WAIT)
      .argument("<TARGET...>")
      .addOption(
        new Option("--for <CONDITION>", "exit (the default), running, healthy, unhealthy or removed").choices(
          WAIT_CONDITIONS,
        ),
      )
      .option("--all", "wait for all targets (the default)")
      .addOption(new Option("--any", "wait for the first target to meet the condition").conflicts("all"))
      .option("--timeout <DURATION>", "exit with 124 after this time")
      .action(async (targets, flags, command) => {
        const { wait } = await import("./commands/wait.ts");
        this.exitStatus = await wait(context, { sockets: this.#sockets(command), targets, flags });
      });

    describe(program.command("cancel"), help.CANCEL)
      .argument("<TASK...>")
      .action(async (tasks, _, command) => {
        const { cancel } = await import("./commands/tasks.ts");
        this.exitStatus = await cancel(context, { sockets: this.#sockets(command), tasks });
      });

    describe(program.command("logs"), help.LOGS)
      .argument("<TARGET>")
      .option("-f, --follow", "continue until it ends")
      .option("--tail <NUMBER>", "number of lines to start with (default: all)")
      .option("--since <TIME>", "print output since this time, such as 10m or 2025-01-31T12:00:00Z")
      .option("--timestamps", "print the time before each line")
      .action(async (target, flags, command) => {
        const { logs } = await import("./commands/logs.ts");
        await logs(context, { sockets: this.#sockets(command), target, flags });
      });

    const workspacesCommand = describe(program.command("workspaces"), help.WORKSPACES)
      .usage("[OPTIONS] [clean]")
      .option("--all", "include those of other apex instances")
      .addOption(OPTIONS.json)
      .enablePositionalOptions()
      .commandsGroup("Verbs:")
      .action(async (flags, command) => {
        const { workspaces } = await import("./commands/workspaces.ts");
        await workspaces(context, { sockets: this.#sockets(command), ...flags });
      });

    describe(workspacesCommand.command("clean"), help.WORKSPACES_CLEAN)
      .argument("[WORKSPACE...]")
      .option("--instance <ID>", "remove workspaces of another apex instance, even running ones")
      .option("--yes", "do not ask for confirmation")
      .action(async (names, flags, command) => {
        const { workspacesClean } = await import("./commands/workspaces.ts");
        const options = { sockets: this.#sockets(command), names, ...flags };
        this.exitStatus = await workspacesClean(context, options);
      });
  }

  #addSessionVerbs(): void {
    const { program } = this;
    const context = this.#context;
    program.commandsGroup("Sessions:");

    withContainerOptions(
      describe(program.command("attach"), help.ATTACH)
        .usage("[OPTIONS] SESSION [-- COMMAND [ARG...]]")
        .argument("<SESSION>")
        .argument("[COMMAND...]")
        .option("-f, --force", "detach another client that is attached")
        .option("-b, --background", "create the session, and do not attach")
        .option("--ttl <DURATION>", "kill the session this long after its creation")
        .option("--cmd <COMMAND>", "command line to run instead of the configured one")
        .option(
          "--restore <MODE>",
          "earlier output to show: screen, lines=N or none (default in a pipe: none)",
        )
        .option("--detach-keys <KEYS>", "keys that detach (default: Ctrl-Space Ctrl-q)"),
    )
      .action(async (name, words, options, command) => {
        const { attach, misplacedWords } = await import("./commands/attach.ts");
        const misplaced = misplacedWords(this.#args, { name, command: words });
        if (misplaced !== undefined) command.error(`error: ${misplaced}`);
        const flags = { ...this.#flagsOf(command), ...options };
        this.exitStatus = await attach(context, { flags, name, command: words });
      });

    describe(program.command("list"), help.LIST)
      .addOption(OPTIONS.json)
      .action(async (flags, command) => {
        const { list } = await import("./commands/sessions.ts");
        await list(context, { sockets: this.#sockets(command), ...flags });
      });

    describe(program.command("detach"), help.DETACH)
      .argument("[SESSION...]")
      .action(async (names, _, command) => {
        const { detach } = await import("./commands/sessions.ts");
        this.exitStatus = await detach(context, { sockets: this.#sockets(command), names });
      });

    describe(program.command("kill"), help.KILL)
      .argument("[SESSION...]")
      .action(async (names, _, command) => {
        const { kill } = await import("./commands/sessions.ts");
        this.exitStatus = await kill(context, { sockets: this.#sockets(command), names });
      });
  }

  #addContainerVerbs(): void {
    const { program } = this;
    const context = this.#context;
    program.commandsGroup("Containers:");

    describe(program.command("events"), help.EVENTS)
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
      .option("--heartbeat <DURATION>", "interval of heartbeats; exit with 6 after three missed heartbeats")
      .action(async (options, command) => {
        const { events } = await import("./commands/events.ts");
        const flags = { ...this.#flagsOf(command), ...options };
        this.exitStatus = await events(context, { flags });
      });

    describe(program.command("history"), help.HISTORY)
      .addOption(OPTIONS.type)
      .addOption(OPTIONS.task)
      .addOption(OPTIONS.container)
      .option("--since <TIME>", "print events since this time")
      .option("--until <TIME>", "print events before this time")
      .option("--limit <NUMBER>", "print only the newest NUMBER events (default: 100; with --json: all)")
      .option("--json", "print one JSON object per line")
      .action(async (flags, command) => {
        const { history } = await import("./commands/history.ts");
        await history(context, { sockets: this.#sockets(command), flags });
      });

    describe(program.command("ps"), help.PS)
      .addOption(OPTIONS.json)
      .action(async (flags, command) => {
        const { ps } = await import("./commands/containers.ts");
        await ps(context, { sockets: this.#sockets(command), ...flags });
      });

    describe(program.command("inspect"), help.INSPECT)
      .argument("<TARGET...>")
      .action(async (targets, _, command) => {
        const { inspect } = await import("./commands/containers.ts");
        this.exitStatus = await inspect(context, { sockets: this.#sockets(command), targets });
      });
  }

  #addOtherVerbs(): void {
    const { program } = this;
    const context = this.#context;
    program.commandsGroup("Daemon:");

    describe(program.command("daemon"), help.DAEMON)
      .option("-d, --detach", "start it in the background; return when it is connected to its engine")
      .addOption(OPTIONS.noJournal)
      .addOption(new Option("--background-log <PATH>").hideHelp())
      .action(async ({ detach = false, backgroundLog, journal }, command) => {
        const flags = { ...this.#flagsOf(command), journal };
        if (!detach) return await this.#actions.daemon({ ...flags, backgroundLog });
        const { startInBackground } = await import("./commands/daemon.ts");
        await startInBackground(context, flags);
      });

    describe(program.command("stop"), help.STOP)
      .action(async (_, command) => {
        const { stop } = await import("./commands/daemon.ts");
        await stop(context, this.#sockets(command));
      });

    describe(program.command("restart"), help.RESTART)
      .addOption(OPTIONS.noJournal)
      .action(async (flags, command) => {
        const { restart } = await import("./commands/daemon.ts");
        await restart(context, { ...this.#flagsOf(command), ...flags });
      });

    describe(program.command("status"), "show daemon status")
      .option("--json", "print a JSON object")
      .action(async (flags, command) => {
        const { status } = await import("./commands/daemon.ts");
        await status(context, { sockets: this.#sockets(command), ...flags });
      });

    describe(program.command("engine"), help.ENGINE)
      .option("--listen <PATH>", "socket to listen on (default: engine.socket beside the daemon's)")
      .option("--dir <DIR>", "directory for its containers (default: in the state directory)")
      .action((_, command) => this.#actions.engine(this.#flagsOf(command)));

    program.commandsGroup("About:").helpCommand(false);

    describe(program.command("help"), "print help for a verb")
      .argument("[VERB...]")
      .action((words) => {
        let about: CommandUnknownOpts = program;
        for (const word of words) about = verbOf(about, word);
        about.help();
      });

    describe(program.command("demo"), help.DEMO)
      .action((_, command) => this.#actions.demo(this.#flagsOf(command)));

    describe(program.command("version"), "print the version")
      .option("--json", "print a JSON object: apex, control protocol, runtime, platform")
      .action(async (flags) => {
        const { version } = await import("./commands/daemon.ts");
        await version(context, flags);
      });
  }
}

/** Gives a verb its help text, whose first line is the summary. */
function describe<T extends CommandUnknownOpts>(command: T, text: string): T {
  const [summary = "", ...details] = text.split("\n");
  command.summary(summary).description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .addHelpText("after", details.join("\n"));
  return command;
}

/** Adds the options that describe a new container. Only commander can infer the type of the result. */
function withContainerOptions<A extends unknown[], O extends OptionValues, G extends OptionValues>(
  command: Command<A, O, G>,
) {
  const list = <F extends string>(flags: F, text: string) => new Option(flags, text).argParser(collect);
  return command.option("--image <IMAGE>", "image to use instead of the configured one")
    .option("--network <MODE>", "none, host, bridge, or the name of a network")
    .addOption(list("-e, --env <KEY=VALUE>", "set a variable; KEY alone copies it from here"))
    .addOption(list("--env-file <FILE>", "read variables from a file"))
    .addOption(list("--label <KEY=VALUE>", "add a label to the container"))
    .addOption(list("-p, --publish <PORT>", "publish a port: [[IP:]HOSTPORT:]PORT[/udp]"))
    .addOption(list("-v, --volume <SOURCE:TARGET>", "mount a directory or volume; append :ro for read-only"))
    .option("-w, --workdir <DIR>", "working directory in the container")
    .option("-u, --user <USER>", "user: NAME, UID or UID:GID")
    .option("--mount", "mount the current directory at /workspace, and work there")
    .option("--init", "run an init process as PID 1 (the default if the engine has one)")
    .option("--no-init", "run the command itself as PID 1");
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
    [
      "log",
      new Option("--log-level <LEVEL>", "log level of the daemon: debug, info, warn or error").choices(
        LOG_LEVELS,
      ),
    ],
    ["daemonize", new Option(daemonize, `${whose}start a daemon if none is running (the default)`)],
    ["daemonize", new Option("-D, --no-daemonize", `${whose}do not start a daemon`)],
  ];
  for (const [name, option] of shared) {
    if (isProgram || takesOption(verb, name)) command.addOption(option.helpGroup(GLOBAL_OPTIONS));
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
