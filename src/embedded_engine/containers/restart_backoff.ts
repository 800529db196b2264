import type { Clock } from "../../platform/clock.ts";
import type { CreateSpec } from "../spec/create_request.ts";

/** As in Docker, the delay doubles from the first to the longest. After a stable run it is the first again. */
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
const STABLE_RUN_MS = 10_000;

/** Whether and when the restart policy of a container starts it again. Owns the timer until then. */
export class RestartBackoff {
  readonly #policy: CreateSpec["restartPolicy"];
  readonly #clock: Clock;
  #delayMs = 0;
  #restartCount = 0;
  #cancel: () => void = () => {};

  constructor(policy: CreateSpec["restartPolicy"], clock: Clock) {
    this.#policy = policy;
    this.#clock = clock;
  }

  /** Number of restarts by the policy since the last start by request. */
  get restartCount(): number {
    return this.#restartCount;
  }

  /** Milliseconds to wait after an exit; undefined when the policy does not restart the container. */
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

  /** The container is started by request: the policy counts from here. */
  reset(): void {
    this.#delayMs = 0;
    this.#restartCount = 0;
  }
}
