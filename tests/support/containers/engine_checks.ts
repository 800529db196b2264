/** Runs checks of a ContainerManager's operations on every engine, with helpers for their containers. */
import type { ContainerSpec } from "../../../src/containers/operations/container_spec.ts";
import type { LogsOptions } from "../../../src/engine/logs/container_logs.ts";
import type { Clock } from "../../../src/platform/clock.ts";
import { dockerAvailable, startDocker } from "../engines/docker_engine.ts";
import { TestEngine } from "../engines/embedded_engine.ts";
import { within } from "../within.ts";
import { OperatedManager } from "./operated_manager.ts";

/** By the property that they check. */
export type Checks = Readonly<Record<string, (operated: OperatedManager) => Promise<void>>>;

/** No container of a check runs this long. */
export const ENDS_WITHIN_MS = 30_000;

/** Docker in the tests needs this network; the embedded engine accepts it. */
export const BASE = { image: "busybox:local", network: "none" } as const;
export const SLEEPER = { ...BASE, cmd: ["sleep", "600"] } as const;

export function shell(script: string): ContainerSpec {
  return { ...BASE, cmd: ["sh", "-c", script] };
}

export interface EngineChecks {
  readonly checks: Checks;
  readonly onDocker?: Checks;
  /** The manager's clock. Default: the system's. */
  readonly clock?: () => Clock;
}

/** Registers a test per engine. Each check gets its own manager, and an engine without containers. */
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

/** Creates and starts a container. Returns its id. */
export async function run({ manager }: OperatedManager, spec: ContainerSpec): Promise<string> {
  const { id } = await manager.create(spec);
  await manager.start(id);
  return id;
}

/** Starts a container, and waits until its script has printed `ready`. */
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

/** The output of a container, one string per stream. */
export async function outputOf(
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
