/** Operations of the Engine API for tests on real engines. Each waits for the engine's reply. */
import type { EngineClient } from "../../../src/engine/engine_client.ts";
import { within } from "../within.ts";

/** Longer than any container of a test runs. */
const EXITS_WITHIN_MS = 60_000;

export interface TestContainer {
  readonly name?: string;
  readonly image: string;
  readonly cmd: readonly string[];
  readonly labels?: Record<string, string>;
  readonly autoRemove?: boolean;
}

/** Creates and starts a container, and returns its id. */
export async function runContainer(client: EngineClient, container: TestContainer): Promise<string> {
  const created = await client.request("POST", "/containers/create", {
    query: { name: container.name },
    body: {
      Image: container.image,
      Cmd: container.cmd,
      Labels: container.labels ?? {},
      HostConfig: { NetworkMode: "none", AutoRemove: container.autoRemove ?? false },
    },
  });
  const { Id } = await created.json() as { Id: string };
  await act(client, "POST", `/containers/${Id}/start`);
  return Id;
}

/** Waits until a container has exited, and returns its exit code. */
export async function waitForExit(client: EngineClient, id: string): Promise<number> {
  const reply = await client.request("POST", `/containers/${id}/wait`, { timeoutMs: EXITS_WITHIN_MS });
  const ended: Promise<{ StatusCode: number }> = reply.json();
  return (await within(EXITS_WITHIN_MS, `the exit of container ${id}`, ended)).StatusCode;
}

export async function removeContainer(client: EngineClient, id: string): Promise<void> {
  await act(client, "DELETE", `/containers/${id}`, { force: 1 });
}

export async function act(
  client: EngineClient,
  method: string,
  path: string,
  query: Record<string, unknown> = {},
): Promise<void> {
  const reply = await client.request(method, path, { query });
  await reply.text();
}
