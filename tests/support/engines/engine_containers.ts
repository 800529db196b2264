/** Operations of the Engine API that tests do on a real engine; each waits for the engine's reply. */
import type { EngineClient } from "../../../src/engine/engine_client.ts";
import { within } from "../within.ts";

/** No container of a test runs this long. */
const EXITS_WITHIN_MS = 60_000;

export interface TestContainer {
  readonly name?: string;
  readonly image: string;
  readonly cmd: readonly string[];
  readonly labels?: Record<string, string>;
  readonly autoRemove?: boolean;
}

/** Creates and starts a container; its id. */
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

/** Waits until its process has ended; the exit code. */
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
