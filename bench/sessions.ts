/**
 * Compares `apex attach` and `docker attach`, each in a pseudo-terminal of its own and on containers of the same kind, on one
 * dockerd, in alternation. Measured are the time from a keystroke to its echo, the throughput of output, and keystrokes in
 * some of fifty sessions while another session floods its terminal.
 *
 * A bare relay and client in the same runtime are measured as well. Their difference to docker is the cost of the runtime.
 */
import { attachSession, type SessionAttachment } from "../src/client/session_attachment.ts";
import { APEX_COMMAND, ApexHome } from "../tests/support/daemons/apex_process.ts";
import { isInstalled } from "../tests/support/daemons/own_daemon.ts";
import {
  BUSYBOX_IMAGE,
  dockerAvailable,
  type DockerEngine,
  startDocker,
} from "../tests/support/engines/docker_engine.ts";
import { type BenchPrograms, type BenchTerminal, denoProgram, LineProcess } from "./programs.ts";
import { median, print, printTable, quantile, verdictOf } from "./report.ts";

/** Targets, relative to `docker attach`: below them a person would notice no difference. */
const MAX_KEY_RATIO = 1.5;
const MIN_THROUGHPUT_RATIO = 0.8;

const KEY_ROUNDS = 20;
const KEYS_A_ROUND = 50;
/** A session lasts for days, so the time before the code is optimized is not measured. */
const WARM_UP_KEYS = 1_000;

const OUTPUT_ROUNDS = 5;
const OUTPUT_BYTES = 50 * 1024 * 1024;

const SESSIONS = 50;
/** Sessions that have a terminal, in which keys are pressed in turn. */
const TYPED_SESSIONS = 4;
const FLOOD_ROUNDS = 5;

/** The program itself echoes what is typed. */
const ECHO = "busybox stty raw -echo; exec cat";
/** Echoes the first key. Each further key prints lines of 80 bytes from a file, which is faster than `yes`. */
const OUTPUT = "busybox stty raw -echo; " +
  `busybox yes "$(busybox printf '%078d\r' 0)" | head -c ${OUTPUT_BYTES} >/tmp/output; ` +
  "head -c 1; while head -c 1 >/dev/null; do cat /tmp/output; done";
/** Echoes the first key, and floods the terminal after return. */
const FLOOD = "echo ready; read -r _; exec busybox yes";

/** Where terminals are opened. */
interface Place {
  readonly programs: BenchPrograms;
  readonly docker: DockerEngine;
  readonly home: ApexHome;
  /** The relays of bare terminals. */
  readonly relays: AsyncDisposableStack;
}

type Side = "apex" | "docker" | "bare";

/** Starts a container, and opens a terminal that is attached to it in one of the compared ways. */
type Open = (
  place: Place,
  container: { readonly name: string; readonly script: string },
) => Promise<BenchTerminal>;

export async function sessions(programs: BenchPrograms): Promise<void> {
  print("\napex attach compared with docker attach (in pseudo-terminals, on a private dockerd)");
  if (!programs.native || !await dockerAvailable() || !await isInstalled("docker")) {
    print("skipped: it requires root, cc, dockerd, busybox and the docker client");
    return;
  }
  await using docker = await startDocker();
  await using home = await ApexHome.create();
  await using _daemon = await home.startDaemon(["--engine", `unix://${docker.socketPath}`]);
  await using relays = new AsyncDisposableStack();
  const place = { programs, docker, home, relays };
  await compareKeys(place);
  await compareThroughput(place);
  await reportFlood(place);
}

async function compareKeys(place: Place): Promise<void> {
  const container = { name: "keys", script: ECHO };
  await using apex = await openApex(place, container);
  await using docker = await openDocker(place, container);
  await using bare = await openBare(place, container);
  const terminals = { apex, docker, bare };
  for (const terminal of Object.values(terminals)) await terminal.pressKeys(WARM_UP_KEYS);
  const rounds = await inTurns(terminals, {
    rounds: KEY_ROUNDS,
    measure: (terminal) => terminal.pressKeys(KEYS_A_ROUND),
  });
  const ratioOf = (side: Side) => median(rounds.map((round) => median(round[side]) / median(round.docker)));
  const row = (name: string, { side, verdict = "" }: { readonly side: Side; readonly verdict?: string }) =>
    keyRow(name, rounds.flatMap((round) => round[side]), verdict);
  const verdict = verdictOf({ ratio: ratioOf("apex"), target: MAX_KEY_RATIO, bound: "atMost" });
  printTable(["from a key to its echo, ms", "p50", "p99", "p50 ratio"], [
    row("apex attach", { side: "apex", verdict }),
    row("docker attach", { side: "docker" }),
    row("bare relay and client", { side: "bare", verdict: minimumOf(ratioOf("bare")) }),
  ]);
}

async function compareThroughput(place: Place): Promise<void> {
  const container = { name: "output", script: OUTPUT };
  await using apex = await openApex(place, container);
  await using docker = await openDocker(place, container);
  await using bare = await openBare(place, container);
  const terminals = { apex, docker, bare };
  for (const terminal of Object.values(terminals)) await terminal.takeBytes(OUTPUT_BYTES);
  const rounds = await inTurns(terminals, {
    rounds: OUTPUT_ROUNDS,
    measure: (terminal) => terminal.takeBytes(OUTPUT_BYTES),
  });
  const ratioOf = (side: Side) => median(rounds.map((round) => round.docker / round[side]));
  const row = (name: string, { side, verdict = "" }: { readonly side: Side; readonly verdict?: string }) => {
    const elapsedMs = median(rounds.map((round) => round[side]));
    return [name, (OUTPUT_BYTES / 1024 / 1024 / (elapsedMs / 1_000)).toFixed(0), verdict];
  };
  const verdict = verdictOf({ ratio: ratioOf("apex"), target: MIN_THROUGHPUT_RATIO, bound: "atLeast" });
  printTable(["50 MiB of output", "MiB/s", "ratio"], [
    row("apex attach", { side: "apex", verdict }),
    row("docker attach", { side: "docker" }),
    row("bare relay and client", { side: "bare", verdict: minimumOf(ratioOf("bare")) }),
  ]);
}

/** Measures all terminals in each round, so that other load on the machine has little effect on ratios within a round. */
async function inTurns<T>(
  terminals: Readonly<Record<Side, BenchTerminal>>,
  { rounds, measure }: { readonly rounds: number; readonly measure: (terminal: BenchTerminal) => Promise<T> },
): Promise<Record<Side, T>[]> {
  const measured: Record<Side, T>[] = [];
  for (let round = 0; round < rounds; round++) {
    measured.push({
      apex: await measure(terminals.apex),
      docker: await measure(terminals.docker),
      bare: await measure(terminals.bare),
    });
  }
  return measured;
}

/** Measures keystrokes in some sessions while another session floods a terminal that reads everything. */
async function reportFlood(place: Place): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const typed: BenchTerminal[] = [];
  for (let n = 0; n < TYPED_SESSIONS; n++) {
    typed.push(stack.use(await openApex(place, { name: `typed-${n}`, script: ECHO })));
  }
  for (let n = TYPED_SESSIONS + 1; n < SESSIONS; n++) {
    stack.use(await openSilent(place, { name: `silent-${n}`, script: ECHO }));
  }
  const docker = stack.use(await openDocker(place, { name: "typed", script: ECHO }));
  const quiet = await pressInTurn(typed);
  const flooded = await besideFlood(openApex, place, () => pressInTurn(typed));
  const dockerQuiet = await pressInTurn([docker]);
  const dockerFlooded = await besideFlood(openDocker, place, () => pressInTurn([docker]));
  printTable([`a key among ${SESSIONS} sessions, ms`, "p50", "p99", ""], [
    keyRow("apex attach", quiet),
    keyRow("apex attach, one session floods", flooded),
    keyRow("docker attach", dockerQuiet),
    keyRow("docker attach, one container floods", dockerFlooded),
  ]);
}

async function besideFlood(
  open: Open,
  place: Place,
  measure: () => Promise<number[]>,
): Promise<number[]> {
  await using flooding = await open(place, { name: "flood", script: FLOOD });
  await flooding.pressReturn();
  // The first measurement is dropped: the flood is not at full speed yet.
  await measure();
  return await measure();
}

async function pressInTurn(terminals: readonly BenchTerminal[]): Promise<number[]> {
  for (const terminal of terminals) await terminal.pressKeys(KEYS_A_ROUND);
  const elapsedMs: number[] = [];
  for (let round = 0; round < FLOOD_ROUNDS; round++) {
    for (const terminal of terminals) elapsedMs.push(...await terminal.pressKeys(KEYS_A_ROUND));
  }
  return elapsedMs;
}

function minimumOf(ratio: number): string {
  return `${ratio.toFixed(2)}x, the runtime's minimum`;
}

function keyRow(name: string, elapsedMs: readonly number[], verdict = ""): string[] {
  return [name, median(elapsedMs).toFixed(2), quantile(elapsedMs, 0.99).toFixed(2), verdict];
}

const openApex: Open = async ({ programs, home }, { name, script }) => {
  const what = ["--image", BUSYBOX_IMAGE, "--network", "none", "--", "sh", "-c", script];
  const terminal = programs.openTerminal([...APEX_COMMAND, "attach", name, ...what], home.env);
  return await terminal.settle();
};

const openDocker: Open = async ({ programs, docker }, { script }) => {
  const id = await startContainer(docker, script);
  const attach = ["docker", "-H", `unix://${docker.socketPath}`, "attach", "--sig-proxy=false", id];
  return await programs.openTerminal(attach).settle();
};

const openBare: Open = async ({ programs, docker, home, relays }, { name, script }) => {
  const id = await startContainer(docker, script);
  const socket = `${home.dir}/bare-${name}`;
  const bare = denoProgram("bare_terminal.ts");
  const relay = relays.use(new LineProcess([...bare, "relay", docker.socketPath, id, socket]));
  await relay.line();
  return await programs.openTerminal([...bare, "attach", socket]).settle();
};

/** Starts a container like that of a session. */
async function startContainer(docker: DockerEngine, script: string): Promise<string> {
  const created = await docker.client.request("POST", "/containers/create", {
    body: {
      Image: BUSYBOX_IMAGE,
      Cmd: ["sh", "-c", script],
      Tty: true,
      OpenStdin: true,
      HostConfig: { NetworkMode: "none" },
    },
  });
  const { Id } = await created.json() as { Id: string };
  await (await docker.client.request("POST", `/containers/${Id}/start`)).text();
  return Id;
}

/** Attaches a client in this process, which reads and drops the output. */
async function openSilent(
  { home }: Place,
  { name, script }: { readonly name: string; readonly script: string },
): Promise<AsyncDisposable> {
  const session = await attachSession(home.controlSocket, {
    name,
    image: BUSYBOX_IMAGE,
    network: "none",
    cmd: ["sh", "-c", script],
    columns: 80,
    rows: 24,
    pid: Deno.pid,
  });
  const reading = readToEnd(session);
  return {
    [Symbol.asyncDispose]: async () => {
      session[Symbol.dispose]();
      await reading;
    },
  };
}

async function readToEnd(session: SessionAttachment): Promise<void> {
  for (let message = await session.next(); message.kind === "output";) message = await session.next();
}
