/**
 * A container manager whose events a test emits by hand. Its registry contains what the test puts into `records`. It has no
 * engine, so every operation fails, except those that a test sets.
 */
import type { ManagerEvents } from "../../../src/containers/changes/container_events.ts";
import type { ContainerManager } from "../../../src/containers/container_manager.ts";
import type { ContainerRecord } from "../../../src/containers/container_record.ts";
import { TypedEmitter } from "../../../src/platform/typed_emitter.ts";

type Operations = Pick<
  ContainerManager,
  | "create"
  | "start"
  | "stop"
  | "kill"
  | "remove"
  | "inspect"
  | "openInput"
  | "stats"
  | "reportHealth"
  | "engineId"
>;

export class EmittedManager extends TypedEmitter<ManagerEvents> implements Operations {
  engineId: string | undefined = "engine-1";
  readonly instance = "0123456789abcdef";
  /** By default, every container belongs to this instance. */
  owns: (id: string) => boolean = () => true;
  records: ContainerRecord[] = [];
  isCaughtUp = true;
  create: Operations["create"] = noEngine;
  start: Operations["start"] = noEngine;
  stop: Operations["stop"] = noEngine;
  kill: Operations["kill"] = noEngine;
  remove: Operations["remove"] = noEngine;
  inspect: Operations["inspect"] = noEngine;
  openInput: Operations["openInput"] = noEngine;
  stats: Operations["stats"] = noEngine;
  reportHealth: Operations["reportHealth"] = () => {};

  /** @param report called for a listener that throws; by default the test fails */
  constructor(report: (error: unknown, name: string) => void = (error) => {
    throw error;
  }) {
    super(report);
  }

  list(): ContainerRecord[] {
    return this.records;
  }

  find(nameOrId: string): ContainerRecord | undefined {
    return this.records.find(({ id, name }) => id === nameOrId || name === nameOrId);
  }
}

function noEngine(): Promise<never> {
  return Promise.reject(new Error("this test has no engine"));
}
