/**
 * The replay marks of one container: they distinguish a change that is already published, or contained in the
 * baseline, from a new one. The engine repeats events after each connection. Reconciling infers changes that the stream
 * may still report later.
 */
import type { ContainerChange } from "./container_change.ts";

/** The engine writes `FinishedAt` before it reports `die`, under load up to half a second before. */
const EXIT_LAG_NANO = 5e9;

export class ReplayState {
  /** The container was in the baseline list, which is newer than any silent event. */
  isInBaseline = false;
  /** The container's state follows from changes seen since, not from the baseline list. */
  stateWasSeen = false;
  /** The creation was published, or was older than the baseline. */
  isCreationKnown = false;
  /** Times of changes inferred by reconciling, ns. The stream's own event, if it still comes, is a repetition. */
  inferredStartNano: number | undefined;
  inferredExitNano: number | undefined;
  isRemovalInferred = false;

  /** Reconciling has inferred this change. */
  infer(change: ContainerChange): void {
    switch (change.kind) {
      case "create":
        this.isCreationKnown = true;
        break;
      case "start":
        this.inferredStartNano = change.timeNano;
        break;
      case "die":
        this.inferredExitNano = change.timeNano;
        break;
      case "remove":
        this.isRemovalInferred = true;
        break;
    }
  }

  /**
   * Whether the stream reports a change that was inferred or reported before.
   * @param container as it is known now
   */
  isRepetition(change: ContainerChange, container: { state: string; exitCode: number | undefined }): boolean {
    const { inferredStartNano: startNano, inferredExitNano: exitNano } = this;
    const isRemoved = container.state === "removed";
    if (isRemoved && this.isRemovalInferred) {
      // Only an exit that could not be inferred is new.
      return change.kind !== "die" || container.exitCode !== undefined || exitNano !== undefined;
    }
    switch (change.kind) {
      case "create":
        return this.isCreationKnown;
      case "start":
        // Of the inferred run itself, if that run is still open (no other start can precede its end) or ended later.
        return startNano !== undefined && (exitNano === undefined || change.timeNano <= exitNano);
      case "die":
        return (startNano !== undefined && change.timeNano < startNano) || // of a run before the inferred one
          (exitNano !== undefined && change.timeNano <= exitNano + EXIT_LAG_NANO);
      case "remove":
        return isRemoved;
      default:
        return false;
    }
  }

  /** The stream reports a new change. A new start or exit proves that the stream is past the inferred run. */
  pass(change: ContainerChange): void {
    if (change.kind === "start" || change.kind === "die") {
      this.inferredStartNano = this.inferredExitNano = undefined;
    }
  }
}
