/** `apex ps` and `apex inspect`. */
import { green, red, yellow } from "@std/fmt/colors";
import { request } from "../../client/control_exchange.ts";
import { formatDuration } from "../../platform/durations.ts";
import type { ContainerResult } from "../../protocol/container_operations.ts";
import type { CliContext, VerbOptions } from "../cli_context.ts";
import { eachTarget, otherTargetsNote } from "../connection/targets.ts";
import { formatTable, printable } from "../output/table.ts";

/** `apex ps`: prints the containers of the engine, newest first. */
export async function ps(context: CliContext, { sockets, json }: VerbOptions): Promise<void> {
  const { stdout, stderr } = context;
  const { containers, engine } = await request(sockets.controlSocket, "containers.list", {});
  if (engine === "disconnected") {
    await stderr.print("apex: the engine does not answer; this is its last known state (see: apex status)");
  }
  const createdMs = ({ createdAt }: ContainerResult) => createdAt === undefined ? 0 : Date.parse(createdAt);
  const newestFirst = containers.toSorted((a, b) => createdMs(b) - createdMs(a));
  if (json) return await stdout.print(JSON.stringify(newestFirst, null, 2));
  const rows = newestFirst.map((container) => row(container, context));
  await stdout.print(formatTable([HEADINGS, ...rows]).join("\n"));
}

const HEADINGS = ["ID", "NAME", "IMAGE", "STATE", "HEALTH", "TASK", "AGE"];
const STATE_COLUMN = HEADINGS.indexOf("STATE");
/** As Docker shows ids. */
const SHORT_ID_LENGTH = 12;

function row(container: ContainerResult, { now, stdout }: CliContext): string[] {
  const { id, name, image, health, taskId, createdAt } = container;
  const paint = stdout.colors ? colorOf(container) : (text: string) => text;
  return [
    id.slice(0, SHORT_ID_LENGTH),
    name,
    image.startsWith("sha256:") ? image.slice("sha256:".length, "sha256:".length + SHORT_ID_LENGTH) : image,
    stateOf(container),
    health === undefined || health === "none" ? "-" : health,
    taskId ?? "-",
    createdAt === undefined ? "-" : formatDuration(now() - Date.parse(createdAt)),
  ].map((cell, column) => column === STATE_COLUMN ? paint(printable(cell)) : printable(cell));
}

function stateOf({ state, exitCode }: ContainerResult): string {
  return state === "exited" && exitCode !== undefined ? `exited (${exitCode})` : state;
}

function colorOf({ state, exitCode, health }: ContainerResult): (text: string) => string {
  if (health === "unhealthy" || (state === "exited" && exitCode !== undefined && exitCode !== 0)) return red;
  if (state === "running") return green;
  return state === "paused" || state === "restarting" ? yellow : (text) => text;
}

/** The daemon asks its engine, which may be busy. */
const INSPECT_TIMEOUT_MS = 30_000;

/**
 * `apex inspect`: prints one JSON array of `{engine, container, task}`.
 *
 * @param targets each a task's id, or a container's name or id
 * @returns the exit status
 */
export async function inspect(
  { stdout, stderr }: CliContext,
  { sockets, targets }: VerbOptions & { readonly targets: readonly string[] },
): Promise<number> {
  const { results, exitStatus } = await eachTarget(targets, {
    failure: "cannot inspect",
    stderr,
    work: async (target) => {
      const options = { timeoutMs: INSPECT_TIMEOUT_MS };
      const result = await request(sockets.controlSocket, "containers.inspect", { target }, options);
      const note = otherTargetsNote(target, result);
      if (note !== undefined) await stderr.print(`apex: ${note}`);
      return result;
    },
  });
  await stdout.print(JSON.stringify(results, null, 2));
  return exitStatus;
}
