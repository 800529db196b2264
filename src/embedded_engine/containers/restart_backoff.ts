import type { Clock } from "../../platform/clock.ts";
import type { ContainerSpec } from "../spec/create_request.ts";

/** Docker's own: the first wait, doubled each time up to the longest; a run this long starts anew at the first. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
const STABLE_RUN_MS = 10_000;

/** Whether and when a container's restart policy starts it again. Owns the timer until then. */
export class RestartBackoff {
  readonly #policy: ContainerSpec["restartPolicy"];
  readonly #clock: Clock;
  #delayMs = 0;
  #restartCount = 0;
  #cancel: () => void = () => {};

  constructor(policy: ContainerSpec["restartPolicy"], clock: Clock) {
    this.#policy = policy;
    this.#clock = clock;
  }

  /** Restarts by the policy since somebody started the container. */
  get restartCount(): number {
    return this.#restartCount;
  }

  /** Milliseconds to wait after an exit; undefined when the policy leaves it ended. */
  delayAfter({ exitCode, ranMs }: { exitCode: number; ranMs: number }): number | undefined {
    const { name, maximumRetryCount } = this.#policy;
    if (name === "no") return undefined;
    if (name === "on-failure") {
      if (exitCode === 0 || (maximumRetryCount > 0 && this.#restartCount >= maximumRetryCount)) {
        return undefined;
      }
    }
    const grown = this.#delayMs === 0 || ranMs >= STABLE_RUN_MS ? FIRST_DELAY_MS : this.#delayMs * 2;
    this.#delayMs = Math.min(grown, LONGEST_DELAY_MS);
    return this.#delayMs;
  }

  schedule(delayMs: number, start: () => void): void {
    this.#restartCount++;
    this.#cancel = this.#clock.after(delayMs, start);
  }

  cancel(): void {
    this.#cancel();
  }

  /** Somebody starts the container: the policy counts from there. */
  reset(): void {
    this.#delayMs = 0;
    this.#restartCount = 0;
  }
}
