/** Questions about containers, on real engines. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ApexError } from "../../../src/platform/apex_error.ts";
import {
  BASE,
  type Checks,
  ENDS_WITHIN_MS,
  outputOf,
  run,
  shell,
  SLEEPER,
  testOnEngines,
  textOf,
} from "../../support/containers/engine_checks.ts";
import { within } from "../../support/within.ts";

const CHECKS: Checks = {
  "logs() yields the output by stream, from the requested start": async (operated) => {
    const id = await run(operated, { ...shell("echo a; echo b; echo c >&2"), name: "logs" });
    await within(ENDS_WITHIN_MS, "its end", operated.manager.wait(id));
    assertEquals(await outputOf(operated, { id }), { stdout: "a\nb\n", stderr: "c\n" });
    const tail = await outputOf(operated, { id, tail: 1 });
    assertEquals(tail.stdout.length + tail.stderr.length, 2);
    assertEquals(await outputOf(operated, { id, tail: 0 }), { stdout: "", stderr: "" });
    assertEquals(await outputOf(operated, { id, sinceMs: Date.now() + 60_000 }), { stdout: "", stderr: "" });
    assertEquals((await outputOf(operated, { id, sinceMs: Date.now() - 60_000 })).stdout, "a\nb\n");
    const { stderr } = await outputOf(operated, { id, timestamps: true });
    assert(/^\d{4}-\d\d-\d\dT[\d:.]+Z c\n$/.test(stderr), stderr);
  },

  "logs() follows until the container ends": async (operated) => {
    const script = 'echo first; while [ ! -e "$1" ]; do sleep 0.02; done; echo last';
    const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-" });
    try {
      const id = await run(operated, {
        ...BASE,
        cmd: ["sh", "-c", script, "sh", "go"],
        projectDir: dir,
        name: "logs-follow",
      });
      let output = "";
      const follow = async () => {
        for await (const { bytes } of operated.manager.logs(id, { follow: true })) {
          output += textOf(bytes);
          if (output === "first\n") await Deno.writeTextFile(`${dir}/go`, "");
        }
      };
      await within(ENDS_WITHIN_MS, "the end of the output", follow());
      assertEquals(output, "first\nlast\n");
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },

  "stats() returns what a running container uses, and nothing for one that does not run": async (
    operated,
  ) => {
    const { id } = await operated.manager.create({ ...SLEEPER, name: "stats" });
    const { memoryBytes: _none, pids: _noPids, ...idle } = await operated.manager.stats(id);
    assertEquals([_none ?? 0, _noPids ?? 0, "cpuPercent" in idle], [0, 0, false]);
    await operated.manager.start(id);
    const { memoryBytes = 0, pids } = await operated.manager.stats(id);
    assert(memoryBytes > 0 && memoryBytes < 64 * 1024 * 1024, `${memoryBytes}`);
    assertEquals(pids, 1);
  },

  "find() finds by id, name and prefix of an id": async (operated) => {
    const { manager } = operated;
    const ids: string[] = [];
    // Of 17 ids, two begin with the same digit.
    for (let index = 0; index < 17; index++) {
      ids.push((await manager.create({ ...SLEEPER, name: `find-${index}` })).id);
      await operated.until(`find-${index}`, "created");
    }
    const [first = ""] = ids;
    for (const name of [first, "find-0", first.slice(0, 12)]) assertEquals(manager.find(name)?.id, first);
    assertEquals(manager.find("find-17"), undefined);
    assertEquals(manager.find(""), undefined);
    const digits = ids.map((id) => id.charAt(0));
    const digit = digits.find((each, index) => digits.indexOf(each) !== index) ?? "";
    const error = assertThrows(() => manager.find(digit), ApexError);
    assertEquals(error.code, "conflict");
    // A name takes precedence over a prefix of an id.
    await manager.rename(ids[1] ?? "", first.slice(0, 12));
    await manager.start(ids[1] ?? ""); // a fence: its event follows that of the rename
    await operated.until(first.slice(0, 12), "started");
    assertEquals(manager.find(first.slice(0, 12))?.id, ids[1]);
  },
};

const ON_DOCKER: Checks = {
  "stats() returns the limits": async (operated) => {
    const id = await run(operated, {
      ...SLEEPER,
      name: "limits",
      memoryBytes: 64 * 1024 * 1024,
      pidsLimit: 50,
    });
    const { memoryLimitBytes, pidsLimit } = await operated.manager.stats(id);
    assertEquals([memoryLimitBytes, pidsLimit], [64 * 1024 * 1024, 50]);
  },

  "logs() of a container with a terminal yields raw output": async (operated) => {
    const id = await run(operated, { ...shell("echo out; echo err >&2"), name: "tty", tty: true });
    await within(ENDS_WITHIN_MS, "its end", operated.manager.wait(id));
    assertEquals(await outputOf(operated, { id }), { stdout: "out\r\nerr\r\n", stderr: "" });
  },
};

await testOnEngines("ContainerManager's questions hold", { checks: CHECKS, onDocker: ON_DOCKER });
