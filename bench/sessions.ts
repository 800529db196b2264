/**
 * A session at a terminal: `apex attach` beside `docker attach`, each at a pseudo-terminal of its own and on a container
 * of the same kind, on one dockerd, in turns. First what a key takes to come back, through a program that has the
 * terminal raw; then how fast output comes; last, keys in some of fifty sessions while another one floods.
 *
 * Beside them a bare relay and client in the same runtime: what they take longer than docker does is the runtime's.
 */
import { type AttachedSession, attachSession } from "../src/client/attached_session.ts";
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

/** A person notices no difference below it; the figures. */
const MAX_KEY_RATIO = 1.5;
const MIN_THROUGHPUT_RATIO = 0.8;

const KEY_ROUNDS = 20;
const KEYS_A_ROUND = 50;
/** A session lasts for days: what the code costs while it is cold is not counted. */
const WARM_UP_KEYS = 1_000;

const OUTPUT_ROUNDS = 5;
const OUTPUT_BYTES = 50 * 1024 * 1024;

const SESSIONS = 50;
/** At a terminal each, with keys pressed in turn. */
const TYPED_SESSIONS = 4;
const FLOOD_ROUNDS = 5;

/** What is typed comes back from the program itself. */
const ECHO = "busybox stty raw -echo; exec cat";
/** The first key comes back; each one after it brings lines of 80 bytes, which lie ready: `yes` is slower. */
const OUTPUT = "busybox stty raw -echo; " +
  `busybox yes "$(busybox printf '%078d\r' 0)" | head -c ${OUTPUT_BYTES} >/tmp/output; ` +
  "head -c 1; while head -c 1 >/dev/null; do cat /tmp/output; done";
/** The first key comes back; after return nothing but a flood. */
const FLOOD = "echo ready; read -r _; exec busybox yes";

/** Where the terminals are. */
interface Place {
  readonly programs: BenchPrograms;
  readonly docker: DockerEngine;
  readonly home: ApexHome;
  /** Of the bare terminals; they end with it. */
  readonly relays: AsyncDisposableStack;
}

type Side = "apex" | "docker" | "bare";

/** A container, and a terminal at it by one of the ways. */
type Open = (
  place: Place,
  container: { readonly name: string; readonly script: string },
) => Promise<BenchTerminal>;

export async function sessions(programs: BenchPrograms): Promise<void> {
  print("\nA session beside docker attach (at pseudo-terminals, on a private dockerd)");
  if (!programs.native || !await dockerAvailable() || !await isInstalled("docker")) {
    print("cc, dockerd, busybox or the docker client is not here, or this is not root: left out");
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
  printTable(["a key's way and back, ms", "p50", "p99", "p50 ratio"], [
    row("apex attach", { side: "apex", verdict }),
    row("docker attach", { side: "docker" }),
    row("bare relay and client", { side: "bare", verdict: floorOf(ratioOf("bare")) }),
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
    row("bare relay and client", { side: "bare", verdict: floorOf(ratioOf("bare")) }),
  ]);
}

/** What was measured at each terminal, by round: a ratio within a round is little touched by what else the machine does. */
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

/** Keys in some sessions while one of all of them floods a terminal that takes everything. */
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
  // Nothing is measured before it is at full speed.
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

function floorOf(ratio: number): string {
  return `${ratio.toFixed(2)}x, the runtime's own`;
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

/** A container of the kind that a session has. */
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

/** Attached without a process of its own; its output is read as it comes, and forgotten. */
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

async function readToEnd(session: AttachedSession): Promise<void> {
  for (let message = await session.next(); message.kind === "output";) message = await session.next();
}
