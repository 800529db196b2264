/** Checks of a ContainerManager's operations that hold on every engine, and what they do with containers. */
import type { ContainerSpec } from "../../../src/containers/operations/container_spec.ts";
import type { LogsOptions } from "../../../src/engine/logs/container_logs.ts";
import type { Clock } from "../../../src/platform/clock.ts";
import { dockerAvailable, startDocker } from "../engines/docker_engine.ts";
import { TestEngine } from "../engines/embedded_engine.ts";
import { within } from "../within.ts";
import { OperatedManager } from "./operated_manager.ts";

/** By what they hold. */
export type Checks = Readonly<Record<string, (operated: OperatedManager) => Promise<void>>>;

/** No container of a check runs this long. */
export const ENDS_WITHIN_MS = 30_000;

/** Containers on Docker need that network; the embedded engine takes it. */
export const BASE = { image: "busybox:local", network: "none" } as const;
export const SLEEPER = { ...BASE, cmd: ["sleep", "600"] } as const;

export function shell(script: string): ContainerSpec {
  return { ...BASE, cmd: ["sh", "-c", script] };
}

export interface EngineChecks {
  readonly checks: Checks;
  readonly onDocker?: Checks;
  /** Of a manager; the system's by default. */
  readonly clock?: () => Clock;
}

/** Makes a test of the checks for each engine; each check gets a manager of its own, and an engine without containers. */
export async function testOnEngines(
  what: string,
  { checks, onDocker = {}, clock }: EngineChecks,
): Promise<void> {
  Deno.test(`${what} on the embedded engine`, async (t) => {
    await using engine = await TestEngine.start();
    await runChecks(t, { checks, clock, socketPath: engine.socketPath });
  });
  Deno.test({
    name: `${what} on Docker`,
    ignore: !await dockerAvailable(),
    fn: async (t) => {
      await using docker = await startDocker();
      await runChecks(t, { checks: { ...checks, ...onDocker }, clock, socketPath: docker.socketPath });
    },
  });
}

/** Creates and starts a container; its id. */
export async function run({ manager }: OperatedManager, spec: ContainerSpec): Promise<string> {
  const { id } = await manager.create(spec);
  await manager.start(id);
  return id;
}

/** Starts a container and waits until its script has said `ready`. */
export async function runReady(operated: OperatedManager, spec: ContainerSpec): Promise<string> {
  const id = await run(operated, spec);
  const ready = async () => {
    for await (const { bytes } of operated.manager.logs(id, { follow: true })) {
      if (textOf(bytes).includes("ready")) return;
    }
    throw new Error("it ended before");
  };
  await within(ENDS_WITHIN_MS, `${spec.name} to be ready`, ready());
  return id;
}

/** What a container has said, each stream as one text. */
export async function said(
  { manager }: OperatedManager,
  { id, ...options }: LogsOptions & { id: string },
): Promise<{ stdout: string; stderr: string }> {
  const read = async () => {
    const output = { stdout: "", stderr: "" };
    for await (const { stream, bytes } of manager.logs(id, options)) output[stream] += textOf(bytes);
    return output;
  };
  return await within(ENDS_WITHIN_MS, `the output of ${id}`, read());
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

async function runChecks(
  t: Deno.TestContext,
  { checks, clock, socketPath }: { checks: Checks; clock: EngineChecks["clock"]; socketPath: string },
): Promise<void> {
  for (const [name, check] of Object.entries(checks)) {
    await t.step(name, async () => {
      await using operated = await OperatedManager.on(socketPath, clock?.());
      try {
        await check(operated);
      } finally {
        for (const { Id } of await operated.client.listContainers()) {
          await operated.manager.remove(Id, { force: true });
        }
      }
    });
  }
}
