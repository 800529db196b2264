/** The state of a container, and the operations that it refuses in that state, with Docker's messages. */
import { HttpError } from "../http/http_message.ts";
import type { HealthCheck } from "./health_check.ts";

export type ContainerStatus = "created" | "running" | "paused" | "restarting" | "removing" | "exited";

/** The state as inspect and the list show it. */
export interface EmbeddedContainerState {
  readonly status: ContainerStatus;
  /** 0 when no process runs. */
  readonly pid: number;
  /** Of the last run that ended, or of the start that failed. */
  readonly exitCode: number;
  /** Why the last start failed; empty when it did not. */
  readonly error: string;
  readonly startedNano: bigint | undefined;
  readonly finishedNano: bigint | undefined;
  /** Of the current or the last run. */
  readonly health: HealthCheck | undefined;
  readonly restartCount: number;
}

interface Container {
  readonly id: string;
  readonly isRunning: boolean;
  readonly state: EmbeddedContainerState;
}

/**
 * Checks that an exec can run in a container.
 * @param reference the id or name that the client used
 * @throws {HttpError} 409 when it does not run, or is paused
 */
export function checkExec(container: Container, reference: string): void {
  checkRunning(container);
  if (container.state.status === "paused") {
    throw new HttpError(409, `Container ${reference} is paused, unpause the container before exec`);
  }
}

/**
 * Checks that a client can attach to a container, which need not run.
 * @param reference the id or name that the client used
 * @throws {HttpError} 409 when it is paused, or waits for its restart
 */
export function checkAttach({ state: { status } }: Container, reference: string): void {
  if (status === "paused") {
    throw new HttpError(409, `container ${reference} is paused, unpause the container before attach`);
  }
  if (status === "restarting") {
    throw new HttpError(
      409,
      `container ${reference} is restarting, wait until the container is running before attach`,
    );
  }
}

/** @throws {HttpError} 409 when a container does not run, or is paused already */
export function checkPause(container: Container): void {
  if (container.state.status === "paused") {
    throw new HttpError(409, `Container ${container.id} is already paused`);
  }
  checkRunning(container);
}

/** @throws {HttpError} 409 when a container runs and its removal is not forced */
export function checkRemoval({ id, isRunning, state: { status } }: Container, force: boolean): void {
  if (!isRunning || force) return;
  const procedure = "top the container before attempting removal or force remove";
  throw new HttpError(
    409,
    `You cannot remove a ${status} container ${id}. ` +
      (status === "paused" ? `Unpause and then s${procedure}` : `S${procedure}`),
  );
}

function checkRunning({ id, isRunning, state: { status } }: Container): void {
  if (!isRunning) throw new HttpError(409, `Container ${id} is not running`);
  if (status === "restarting") {
    throw new HttpError(409, `Container ${id} is restarting, wait until the container is running`);
  }
}
