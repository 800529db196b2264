/** The parts of the daemon that operations use. Each class takes those that it names. */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { EventLog } from "../../eventlog/event_log.ts";
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Paths } from "../../platform/directories.ts";
import type { Logger } from "../../platform/logger.ts";
import type { EventJournal } from "../../storage/journal/event_journal.ts";
import type { Storage } from "../../storage/storage.ts";
import type { WorkspaceManager } from "../../workspaces/workspace_manager.ts";
import type { EngineStatus } from "../engine_status.ts";
import type { TaskAdoption } from "../task_adoption.ts";

export interface OperationContext {
  readonly paths: Paths;
  /** The options that the daemon was started with. */
  readonly flags: readonly string[];
  /** The daemon's log file, if it runs in the background. */
  readonly backgroundLog: string | undefined;
  /** Starts the end of the daemon. */
  readonly stop: () => void;
  readonly containers: ContainerManager;
  readonly workspaces: WorkspaceManager;
  readonly orchestrator: ApexOrchestrator;
  readonly adoption: TaskAdoption;
  readonly storage: Storage;
  /** Whether apex stores the output of tasks when it removes their containers. */
  readonly keepsOutput: boolean;
  readonly journal: EventJournal;
  readonly engine: EngineStatus;
  readonly log: EventLog;
  /** For tasks without an image. */
  readonly defaultImage: string;
  /** The daemon's engine, as `--engine` takes it. */
  readonly engineChoice: string;
  /** Whether apex itself watches the health of that container. */
  readonly isHealthWatched: (containerId: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}
