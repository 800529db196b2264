/** What cannot be done with a container in the state it is in, in Docker's words. */
import { HttpError } from "../http/http_error.ts";
import type { EmbeddedContainer } from "./embedded_container.ts";

/**
 * @param reference what the client calls it
 * @throws {HttpError} 409 when nothing can be run beside its own command now
 */
export function checkExec(container: EmbeddedContainer, reference: string): void {
  checkRunning(container);
  if (container.state.status === "paused") {
    throw new HttpError(409, `Container ${reference} is paused, unpause the container before exec`);
  }
}

/** @throws {HttpError} 409 when nobody can be attached to it now; one that does not run is no reason */
export function checkAttach({ state: { status } }: EmbeddedContainer, reference: string): void {
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

/** @throws {HttpError} 409 when it does not run or is paused, 501 when it or one of its execs has a terminal */
export function checkPause(container: EmbeddedContainer): void {
  if (container.state.status === "paused") {
    throw new HttpError(409, `Container ${container.id} is already paused`);
  }
  checkRunning(container);
  // Stopping the processes at a terminal one by one would wake the shell that waits for them.
  if (container.spec.tty || container.execs.running.some(({ spec }) => spec.tty)) {
    throw new HttpError(
      501,
      `the embedded engine cannot pause container ${container.name}, because it has a terminal: ` +
        "use docker or podman (--engine)",
    );
  }
}

/** @throws {HttpError} 409 when it runs and its removal is not forced */
export function checkRemoval(container: EmbeddedContainer, { force }: { force: boolean }): void {
  if (!container.isRunning || force) return;
  const { status } = container.state;
  const procedure = "top the container before attempting removal or force remove";
  throw new HttpError(
    409,
    `You cannot remove a ${status} container ${container.id}. ` +
      (status === "paused" ? `Unpause and then s${procedure}` : `S${procedure}`),
  );
}

function checkRunning({ id, isRunning, state: { status } }: EmbeddedContainer): void {
  if (!isRunning) throw new HttpError(409, `Container ${id} is not running`);
  if (status === "restarting") {
    throw new HttpError(409, `Container ${id} is restarting, wait until the container is running`);
  }
}
