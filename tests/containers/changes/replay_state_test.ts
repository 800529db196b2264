import { assertEquals } from "@std/assert";
import type { ContainerChange } from "../../../src/containers/changes/container_change.ts";
import { ReplayState } from "../../../src/containers/changes/replay_state.ts";

type PlainKind = "create" | "start" | "die" | "remove" | "kill";

/** @param seconds the engine's time */
function change(kind: PlainKind, seconds = 0): ContainerChange {
  return { kind, id: "c", name: "web", image: "i", labels: {}, timeNano: seconds * 1e9 };
}

const RUNNING = { state: "running", exitCode: undefined };
const REMOVED = { state: "removed", exitCode: undefined };

interface Case {
  readonly name: string;
  readonly inferred: readonly ContainerChange[];
  readonly reported: ContainerChange;
  readonly container?: { readonly state: string; readonly exitCode: number | undefined };
  readonly isRepetition: boolean;
}

const CASES: readonly Case[] = [
  { name: "a first creation", inferred: [], reported: change("create"), isRepetition: false },
  {
    name: "an inferred creation",
    inferred: [change("create")],
    reported: change("create", 1),
    isRepetition: true,
  },
  {
    name: "the start of an open inferred run",
    inferred: [change("start", 10)],
    reported: change("start", 11),
    isRepetition: true,
  },
  {
    name: "a start before the end of the inferred run",
    inferred: [change("start", 10), change("die", 20)],
    reported: change("start", 11),
    isRepetition: true,
  },
  {
    name: "a start after the end of the inferred run",
    inferred: [change("start", 10), change("die", 20)],
    reported: change("start", 21),
    isRepetition: false,
  },
  {
    name: "an exit before the inferred run",
    inferred: [change("start", 10)],
    reported: change("die", 9),
    isRepetition: true,
  },
  {
    name: "the end of an open inferred run",
    inferred: [change("start", 10)],
    reported: change("die", 11),
    isRepetition: false,
  },
  {
    name: "an inferred exit, reported late",
    inferred: [change("die", 20)],
    reported: change("die", 25),
    isRepetition: true,
  },
  {
    name: "an exit long after the inferred one",
    inferred: [change("die", 20)],
    reported: change("die", 26),
    isRepetition: false,
  },
  {
    name: "a second removal",
    inferred: [],
    reported: change("remove"),
    container: REMOVED,
    isRepetition: true,
  },
  {
    name: "an exit with a known code after an inferred removal",
    inferred: [change("remove")],
    reported: change("die"),
    container: { state: "removed", exitCode: 3 },
    isRepetition: true,
  },
  {
    name: "an unknown exit after an inferred removal",
    inferred: [change("remove")],
    reported: change("die"),
    container: REMOVED,
    isRepetition: false,
  },
  { name: "a kill", inferred: [change("start", 10)], reported: change("kill", 5), isRepetition: false },
];

for (const { name, inferred, reported, container = RUNNING, isRepetition } of CASES) {
  Deno.test(`ReplayState.isRepetition() is ${isRepetition} for ${name}, and changes nothing`, () => {
    const replay = new ReplayState();
    for (const each of inferred) replay.infer(each);
    const before = { ...replay };
    assertEquals(replay.isRepetition(reported, container), isRepetition);
    assertEquals({ ...replay }, before);
  });
}

Deno.test("ReplayState.pass() drops the inferred run once a new start or exit is reported", () => {
  for (const kind of ["start", "die"] as const) {
    const replay = new ReplayState();
    replay.infer(change("start", 10));
    replay.infer(change("die", 20));
    replay.pass(change("kill", 30));
    assertEquals(replay.isRepetition(change("start", 15), RUNNING), true);
    replay.pass(change(kind, 30));
    assertEquals(replay.isRepetition(change("start", 15), RUNNING), false);
  }
});
