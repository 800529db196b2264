/**
 * The verbs and their options: the one file that knows commander, which is why it is longer than others. Each verb's code
 * is imported when that verb runs, so `apex --version` and `apex events` load nothing that they do not need. What runs
 * something itself comes from `main.ts`: this folder knows clients only.
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
import { resolveSockets } from "../platform/directories.ts";
import { ENGINE_CHOICES, isEngineChoice, LOG_LEVELS } from "../platform/setting_values.ts";
import { VERSION } from "../protocol/version.ts";
import { WAIT_CONDITIONS } from "../protocol/wait_condition.ts";
import type { DaemonFlags } from "./args/daemon_flags.ts";
import type { BaseContext, CliContext } from "./cli_context.ts";
import type { DaemonCheck } from "./connection/daemon_check.ts";
import * as help from "./help_texts.ts";
import { StatusError } from "./output/status_error.ts";
import { RUN_FAILED_STATUS } from "./output/task_end.ts";
import { unknownVerb } from "./unknown_verb.ts";
import { daemonUse, type SharedOption, takesOption } from "./verb_uses.ts";

export type { DaemonFlags };

export interface EngineFlags extends DaemonFlags {
  /** Where it listens, instead of beside the daemon's sockets. */
  readonly listen?: string | undefined;
  /** Where it keeps its containers, instead of the state directory. */
  readonly dir?: string | undefined;
}

export interface ForegroundFlags extends DaemonFlags {
  /** Where a client that starts it in the background has its log written. */
  readonly backgroundLog?: string | undefined;
}

/** The verbs that run something themselves rather than ask the daemon. */
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
 * Does what the arguments say. Help and version go to stdout.
 *
 * @returns the exit status
 * @throws {UsageError} for arguments that make no sense; as a {StatusError} where the status is otherwise a command's own
 */
export async function runCommandLine(args: readonly string[], options: RunOptions): Promise<number> {
  const { stdout, stderr } = options.context;
  const out: string[] = [];
  const err: string[] = [];
  const { program, outcome } = buildProgram({ ...options, args }, {
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
  if (failure !== undefined && failure.exitCode !== 0) {
    const misuse = new UsageError(err.join("").trimEnd());
    throw outcome.isCommands ? new StatusError(RUN_FAILED_STATUS, misuse) : misuse;
  }
  await stdout.write(new TextEncoder().encode(out.join("")));
  return outcome.exitStatus;
}

/** The arguments made no sense. The message is several lines: what is wrong, then the usage. */
export class UsageError extends ApexError {
  constructor(message: string) {
    super("usage", message);
  }
}

const HELP_COLUMNS = 100;
/** They take a command. */
const COMMAND_VERBS = ["run", "attach"];
/** They exit with the status of a command, so a failure of their own must not look like one. */
const STATUS_VERBS = [...COMMAND_VERBS, "wait"];
const PULL_POLICIES = ["missing", "always", "never"] as const;

function inOurWords(text: string): string {
  return text.replace(/^error: /, "apex: ").replace("(Did you mean", "(did you mean");
}

function buildProgram(
  { context: base, actions, args }: RunOptions & { readonly args: readonly string[] },
  output: OutputConfiguration,
) {
  /** `isCommands`: the verb passes on the status of a command, so that one of apex's own must not look like it. */
  const outcome = { exitStatus: 0, isCommands: false };
  let daemonCheck: DaemonCheck | undefined;
  const context: CliContext = {
    ...base,
    checkDaemon: (sockets) => daemonCheck?.check(sockets) ?? Promise.resolve(),
  };
  const program = new Command("apex")
    .configureOutput(output)
    .description(
      "Runs commands in containers, follows the engine, and streams every change as a line of JSON.",
    )
    .usage("[options] <verb>")
    .version(`apex ${VERSION}`, "--version", "print the version")
    .helpOption("-h, --help", "print help")
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .exitOverride()
    .allowExcessArguments(false)
    // A verb's own options are its own: `-v` of `run` is another than that of `apex`.
    .enablePositionalOptions()
    .hook("preAction", (_, verb) => {
      // An argument of a command may be empty, a name may not.
      if (!COMMAND_VERBS.includes(verb.name()) && verb.args.includes("")) {
        verb.error("error: an argument is empty; is a variable not set?");
      }
    })
    .hook("preSubcommand", (_, verb) => {
      outcome.isCommands = STATUS_VERBS.includes(verb.name());
    })
    .hook("preAction", async (_, verb) => {
      const use = daemonUse(pathOf(verb));
      if (use !== "changes" && use !== "reads") return;
      const { DaemonCheck } = await import("./connection/daemon_check.ts");
      daemonCheck = new DaemonCheck({ context: base, flags: flagsOf(verb), isChange: use === "changes" });
      try {
        await daemonCheck.check(sockets(verb));
      } catch (error) {
        const isOurs = outcome.isCommands && error instanceof Error;
        throw isOurs ? new StatusError(RUN_FAILED_STATUS, error) : error;
      }
    })
    .addHelpText("after", help.PROGRAM_HELP);
  const flagsOf = (command: CommandUnknownOpts): DaemonFlags => ({ ...program.opts(), ...command.opts() });
  const sockets = (command: CommandUnknownOpts) =>
    resolveSockets({ ...context, socket: flagsOf(command).socket });

  program.commandsGroup("Tasks:");

  program.command("run")
    .summary("run a command in a container")
    .description("Runs a command in a container of its own, shows its output and passes on its exit status.")
    .usage("[options] -- COMMAND [ARG…]")
    .argument("[command...]")
    .passThroughOptions()
    .option("--task <id>", "its id, instead of one that is made up")
    .option("--image <image>", "instead of the one in the configuration")
    .option("--network <mode>", "none, host, bridge or a network's name")
    .option("-e, --env <key=value>", "set a variable; KEY alone: as it is set here", collect)
    .option("--env-file <file>", "set the variables in a file, one KEY=VALUE or KEY a line", collect)
    .option("--label <name=value>", "add a label to the container", collect)
    .option("-p, --publish <port>", "make a port reachable: [[IP:]HOSTPORT:]PORT[/udp]", collect)
    .option(
      "-v, --volume <source:target>",
      "mount a directory or a volume; :ro behind it: read-only",
      collect,
    )
    .option("-w, --workdir <dir>", "the command's directory in the container")
    .option("-u, --user <user>", "name, uid or uid:gid")
    .option("--entrypoint <command>", "instead of the image's own")
    .option("--gpus <which>", "give it GPUs: all, a number, or device=ID[,ID…]")
    .option("--cpus <number>", "how many processors at most")
    .option("--memory <size>", "how much memory at most")
    .option("--pids <number>", "how many processes at most")
    .option("--timeout <time>", "stop it after so long")
    .option(
      "--mount",
      "mount the current directory at /workspace and work there (embedded engine: work in it)",
    )
    .option("--init", "run the engine's init as process 1 (the default where the engine has one)")
    .option("--no-init", "run the command itself as process 1")
    .option("-i, --interactive", "pass standard input on to the command")
    .addOption(
      new Option("--pull <when>", "when to pull the image (default: missing)").choices(PULL_POLICIES),
    )
    .option("--rm", "remove the container when the task has ended (the default)")
    .addOption(new Option("-t, --tty", "refused: see apex attach").hideHelp())
    .option("--keep", "leave the container when the task has ended")
    .option("--keep-on-failure", "leave the container when the task has failed")
    .option("-d, --detach", "only start it, and print its id")
    .addHelpText("after", help.RUN_HELP)
    .action(async (words, options, command) => {
      const { run } = await import("./commands/run.ts");
      const flags = { ...flagsOf(command), ...options };
      outcome.exitStatus = await run(context, { flags, command: words });
    });

  program.command("tasks")
    .summary("list tasks")
    .description("Lists the tasks that have not ended, newest first.")
    .option("--all", "those that have ended, too")
    .option("--json", "one JSON array, each task with all its fields")
    .addHelpText("after", help.TASKS_HELP)
    .action(async ({ all = false, json = false }, command) => {
      const { tasks } = await import("./commands/tasks.ts");
      await tasks(context, { sockets: sockets(command), all, json });
    });

  program.command("wait")
    .summary("wait for the end of tasks or containers")
    .description(
      "Waits until tasks or containers have ended, and exits with their status; or until they are as --for says.",
    )
    .argument("<target...>")
    .addOption(
      new Option("--for <condition>", "until they are so (default: exit)").choices(
        WAIT_CONDITIONS,
      ),
    )
    .option("--all", "until all targets are ready (the default)")
    .addOption(new Option("--any", "until one of them is ready").conflicts("all"))
    .option("--timeout <time>", "exit with 124 after this time")
    .addHelpText("after", help.WAIT_HELP)
    .action(async (targets, flags, command) => {
      const { wait } = await import("./commands/wait.ts");
      outcome.exitStatus = await wait(context, { sockets: sockets(command), targets, flags });
    });

  program.command("cancel")
    .summary("end tasks")
    .description("Ends tasks, whether they run or wait for their turn.")
    .argument("<task...>")
    .addHelpText("after", help.CANCEL_HELP)
    .action(async (tasks, _, command) => {
      const { cancel } = await import("./commands/cancel.ts");
      outcome.exitStatus = await cancel(context, { sockets: sockets(command), tasks });
    });

  program.command("logs")
    .summary("print what a task or container has written")
    .description("Prints what a task or container has written.")
    .argument("<target>")
    .option("-f, --follow", "go on until it ends")
    .option("--tail <lines>", "only so many lines of what is there")
    .option("--since <time>", "only what came since: 10m ago, or 2025-01-31T12:00:00Z")
    .option("--timestamps", "when it was written, before each line")
    .addHelpText("after", help.LOGS_HELP)
    .action(async (target, flags, command) => {
      const { logs } = await import("./commands/logs.ts");
      await logs(context, { sockets: sockets(command), target, flags });
    });

  const workspacesCommand = program.command("workspaces")
    .summary("list the containers of tasks; clean up")
    .description("Lists the containers that apex made for tasks, and orphans among them.")
    .option("--all", "those of other apex instances too, with a column INSTANCE")
    .option("--json", "one JSON array, each workspace with all its fields")
    .enablePositionalOptions()
    .commandsGroup("Verbs:")
    .addHelpText("after", help.WORKSPACES_HELP)
    .action(async ({ all = false, json = false }, command) => {
      const { workspaces } = await import("./commands/workspaces.ts");
      await workspaces(context, { sockets: sockets(command), json, all });
    });
  workspacesCommand.command("clean")
    .summary("remove orphans")
    .description("Removes the containers that belong to no task: all orphans, or those that are named.")
    .argument("[name...]")
    .option("--instance <id>", "the containers of that apex instance instead, running ones too")
    .option("--yes", "do not ask first")
    .addHelpText("after", help.WORKSPACES_CLEAN_HELP)
    .action(async (names, { yes = false, instance }, command) => {
      const { workspacesClean } = await import("./commands/workspaces_clean.ts");
      const options = { sockets: sockets(command), names, yes, instance };
      outcome.exitStatus = await workspacesClean(context, options);
    });

  program.commandsGroup("Sessions:");

  program.command("attach")
    .summary("open a session, or go back to one")
    .description("Joins this terminal to a session: a container's terminal that outlives this one.")
    .usage("[options] NAME [-- COMMAND [ARG…]]")
    .argument("<name>")
    .argument("[command...]")
    .option("-f, --force", "take it from the client that is attached")
    .option("-b, --background", "only create it, and do not stay")
    .option("--ttl <time>", "kill it so long after its creation")
    .option("--image <image>", "instead of the one in the configuration")
    .option("--cmd <command>", "what runs in it, instead of the one in the configuration")
    .option("--network <mode>", "none, host, bridge or a network's name")
    .option("-e, --env <key=value>", "set a variable; KEY alone: as it is set here", collect)
    .option("--env-file <file>", "set the variables in a file, one KEY=VALUE or KEY a line", collect)
    .option("--label <name=value>", "add a label to the container", collect)
    .option("-p, --publish <port>", "make a port reachable: [[IP:]HOSTPORT:]PORT[/udp]", collect)
    .option(
      "-v, --volume <source:target>",
      "mount a directory or a volume; :ro behind it: read-only",
      collect,
    )
    .option("-w, --workdir <dir>", "the command's directory in the container")
    .option("-u, --user <user>", "name, uid or uid:gid")
    .option(
      "--mount",
      "mount the current directory at /workspace and work there (embedded engine: work in it)",
    )
    .option("--init", "run the engine's init as process 1 (the default where the engine has one)")
    .option("--no-init", "run the command itself as process 1")
    .option("--restore <mode>", "what to show of it first: screen, lines=N or none (a pipe: none)")
    .option("--detach-keys <keys>", "instead of Ctrl-Space Ctrl-q")
    .addHelpText("after", help.ATTACH_HELP)
    .action(async (name, words, options, command) => {
      const { attach, misplacedWords } = await import("./commands/attach.ts");
      const misplaced = misplacedWords(args, { name, command: words });
      if (misplaced !== undefined) command.error(`error: ${misplaced}`);
      const flags = { ...flagsOf(command), ...options };
      outcome.exitStatus = await attach(context, { flags, name, command: words });
    });

  program.command("list")
    .summary("list sessions")
    .description("Lists the sessions, oldest first.")
    .option("--json", "one JSON array, each session with all its fields")
    .addHelpText("after", help.LIST_HELP)
    .action(async ({ json = false }, command) => {
      const { list } = await import("./commands/list.ts");
      await list(context, { sockets: sockets(command), json });
    });

  program.command("detach")
    .summary("let a session's client go")
    .description("Lets the clients of sessions go; the sessions live on.")
    .argument("[name...]")
    .addHelpText("after", help.DETACH_HELP)
    .action(async (names, _, command) => {
      const { detach } = await import("./commands/named_sessions.ts");
      outcome.exitStatus = await detach(context, { sockets: sockets(command), names });
    });

  program.command("kill")
    .summary("end sessions")
    .description("Ends sessions: SIGHUP, as a closed terminal sends it, then SIGTERM, then SIGKILL.")
    .argument("[name...]")
    .addHelpText("after", help.KILL_HELP)
    .action(async (names, _, command) => {
      const { kill } = await import("./commands/named_sessions.ts");
      outcome.exitStatus = await kill(context, { sockets: sockets(command), names });
    });

  program.commandsGroup("Containers:");

  program.command("events")
    .summary("print every event as it happens, one JSON object per line")
    .description("Prints every event from now on as it happens, one JSON object per line (see EVENTS.md).")
    .option("--type <glob>", "only such events: container.*; may be given several times", collect)
    .option("--task <id>", "only those of this task")
    .option("--container <name>", "only those of this container; or the first digits of its id")
    .option("--after <cursor>", "begin after this one, in the past")
    .option("--since <time>", "begin with those since then: 10m ago, or 2025-01-31T12:00:00Z")
    .option("--snapshot", "first print which containers, sessions and tasks there are, as one line")
    .option("--reconnect", "go on across restarts of the daemon, without loss or repeat")
    .option("--cursor-file <file>", "go on after what was printed the last time; keep that there")
    .option("--limit <number>", "end after so many events")
    .option("--timeout <time>", "end with 124 after so long")
    .option("--seq", 'show each event\'s cursor, as "cursor"')
    .option("--fail-on-gap", "end with 6 where events are missing")
    .option(
      "--heartbeat <time>",
      "how often the daemon must show a sign of life; after three without one give up",
    )
    .addHelpText("after", help.EVENTS_HELP)
    .action(async (options, command) => {
      const { events } = await import("./commands/events.ts");
      outcome.exitStatus = await events(context, { flags: { ...flagsOf(command), ...options } });
    });

  program.command("history")
    .summary("print events of the past")
    .description("Prints what happened in the past, oldest first.")
    .option("--type <glob>", "only such events: container.*; may be given several times", collect)
    .option("--task <id>", "only those of this task")
    .option("--container <name>", "only those of this container; or the first digits of its id")
    .option("--since <time>", "only what came since then: 10m ago, or 2025-01-31T12:00:00Z")
    .option("--until <time>", "only what came before then")
    .option("--limit <number>", "only the newest so many (default: 100, and with --json all)")
    .option("--json", "one JSON object per line")
    .addHelpText("after", help.HISTORY_HELP)
    .action(async (flags, command) => {
      const { history } = await import("./commands/history.ts");
      await history(context, { sockets: sockets(command), flags });
    });

  program.command("ps")
    .summary("list containers")
    .description("Lists the containers that the engine has, running or not, newest first.")
    .option("--json", "one JSON array, each container with all its fields")
    .addHelpText("after", help.PS_HELP)
    .action(async ({ json = false }, command) => {
      const { ps } = await import("./commands/ps.ts");
      await ps(context, { sockets: sockets(command), json });
    });

  program.command("inspect")
    .summary("print all that is known of tasks or containers")
    .description("Prints all that engine and apex know of tasks or containers, as one JSON array.")
    .argument("<target...>")
    .addHelpText("after", help.INSPECT_HELP)
    .action(async (targets, _, command) => {
      const { inspect } = await import("./commands/inspect.ts");
      outcome.exitStatus = await inspect(context, { sockets: sockets(command), targets });
    });

  program.commandsGroup("Daemon:");

  program.command("daemon")
    .summary("run the daemon, in the foreground or (-d) in the background")
    .description("Runs the daemon in the foreground; SIGTERM, SIGINT or SIGHUP end it cleanly.")
    .option("-d, --detach", "start it in the background, and return once it follows its engine")
    .option("--no-journal", "keep no events on disk: no history, and no resuming after a restart")
    .addOption(new Option("--background-log <path>").hideHelp())
    .addHelpText("after", help.DAEMON_HELP)
    .action(async ({ detach = false, backgroundLog, journal }, command) => {
      const flags = { ...flagsOf(command), journal };
      if (!detach) return await actions.daemon({ ...flags, backgroundLog });
      const { startInBackground } = await import("./connection/background_daemon.ts");
      await startInBackground(context, flags);
    });

  program.command("stop")
    .summary("end the daemon; tasks and sessions continue")
    .description(
      "Ends the daemon, of whatever version, and returns when it is gone. Tasks and sessions go on.",
    )
    .addHelpText("after", help.STOP_HELP)
    .action(async (_, command) => {
      const { stop } = await import("./commands/stop.ts");
      await stop(context, sockets(command));
    });

  program.command("restart")
    .summary("end the daemon, and start it again in the background")
    .description(
      "Ends the daemon, and starts this version of it in the background, with the same engine and options.",
    )
    .option("--no-journal", "keep no events on disk: no history, and no resuming after a restart")
    .addHelpText("after", help.RESTART_HELP)
    .action(async ({ journal }, command) => {
      const { restart } = await import("./connection/background_daemon.ts");
      await restart(context, { ...flagsOf(command), journal });
    });

  program.command("status")
    .summary("show the daemon's status")
    .description(
      "Shows the daemon's status: its version, engine, log, paths, tasks, sessions and subscribers.",
    )
    .option("--json", "one JSON object")
    .action(async ({ json = false }, command) => {
      const { status } = await import("./commands/status.ts");
      await status(context, { sockets: sockets(command), json });
    });

  program.command("engine")
    .summary("run the embedded engine in the foreground")
    .description(
      "Runs the embedded engine: the Docker Engine API over a Unix socket, with local processes as containers.\n" +
        "It isolates nothing: what it runs can do whatever you can. A daemon with --engine embedded starts it.",
    )
    .option("--listen <path>", "its socket, instead of engine.socket beside the daemon's")
    .option("--dir <path>", "where it keeps its containers, instead of the state directory")
    .action((_, command) => actions.engine(flagsOf(command)));

  program.commandsGroup("About:").helpCommand(false);

  program.command("help")
    .summary("print help for a verb")
    .description("Prints help for a verb.")
    .argument("[verb...]")
    .action((words) => {
      let about: CommandUnknownOpts = program;
      for (const word of words) about = verbOf(about, word);
      about.help();
    });

  program.command("demo")
    .summary("show what apex does; needs nothing installed")
    .description(
      "Starts a daemon of its own on the embedded engine, runs a few tasks that succeed, fail, are killed and turn\n" +
        "unhealthy, prints their events with a line of explanation each, and cleans up.",
    )
    .action((_, command) => actions.demo(flagsOf(command)));

  program.command("version")
    .summary("print the version")
    .description("Prints the version.")
    .option("--json", "one JSON object: apex, control protocol, runtime, platform")
    .action(async ({ json = false }) => {
      const { version } = await import("./commands/version.ts");
      await version(context, { json });
    });

  program.on("command:*", ([word]: string[]) => void verbOf(program, word ?? ""));
  finishCommand(program);
  return { program, outcome };
}

/** What every verb has, and the shared options that act there. The program itself takes all of them, before a verb's name. */
function finishCommand(command: CommandUnknownOpts): void {
  const isTaken = (flag: string) => command.options.some(({ short }) => short === flag);
  const verbose = isTaken("-v") ? "--verbose" : "-v, --verbose";
  const daemonize = isTaken("-d") ? "--daemonize" : "-d, --daemonize";
  const verb = pathOf(command);
  const isProgram = verb === "";
  const whose = isProgram ? "run, attach and events: " : "";
  const shared: readonly (readonly [SharedOption, Option])[] = [
    ["socket", new Option("--socket <path>", "the daemon's control socket; events.socket is beside it")],
    ["config", new Option("--config <file>", "the configuration, instead of ~/.config/apex/config.toml")],
    ["engine", new Option("--engine <engine>", `which engine: ${ENGINE_CHOICES}`).argParser(engineChoice)],
    ["log", new Option(verbose, "the same as --log-level debug")],
    ["log", new Option("--log-level <level>", "how much the daemon logs").choices(LOG_LEVELS)],
    ["daemonize", new Option(daemonize, `${whose}start a daemon when none runs (the default)`)],
    ["daemonize", new Option("-D, --no-daemonize", `${whose}start none`)],
  ];
  for (const [name, option] of shared) {
    if (isProgram || takesOption(verb, name)) command.addOption(option.helpGroup("Global options:"));
  }
  command.helpOption("-h, --help", "print help").allowExcessArguments(false).showHelpAfterError(
    usageLine(command),
  );
  for (const subcommand of command.commands) finishCommand(subcommand);
}

/** A verb as it is written behind `apex`: `workspaces clean`. */
function pathOf(command: CommandUnknownOpts): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}`.trimStart() : "";
}

/** @throws {CommanderError} where the command has no such verb */
function verbOf(command: CommandUnknownOpts, word: string): CommandUnknownOpts {
  const verb = command.commands.find((each) => each.name() === word);
  const names = command.commands.map((each) => each.name());
  return verb ?? command.error(`error: ${unknownVerb(word, names)}`);
}

function usageLine(command: CommandUnknownOpts): string {
  const name = nameOf(command);
  return `usage: ${name} ${command.usage()}\ntry: ${name} --help`;
}

function nameOf(command: CommandUnknownOpts): string {
  return `apex ${pathOf(command)}`.trimEnd();
}

function engineChoice(value: string): string {
  if (isEngineChoice(value)) return value;
  throw new InvalidArgumentError(`It must be ${ENGINE_CHOICES}.`);
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...before ?? [], value];
}
