import type { TaskReason } from "./task.ts";

/** What every task event carries. */
export interface TaskEvent {
  readonly taskId: string;
  readonly timestamp: Date;
  readonly containerId?: string;
  readonly exitCode?: number;
  readonly reason?: TaskReason;
}

/** What {@linkcode ApexOrchestrator} tells of its tasks, by name. */
export interface TaskEvents {
  "task:created": TaskEvent;
  "task:started": TaskEvent;
  "task:completed": TaskEvent;
  "task:failed": TaskEvent;
  "task:cancelled": TaskEvent;
}

export type TaskEventName = keyof TaskEvents;

/** Their names, in the order of a task's life. */
export const TASK_EVENT_NAMES: readonly TaskEventName[] = [
  "task:created",
  "task:started",
  "task:completed",
  "task:failed",
  "task:cancelled",
];
