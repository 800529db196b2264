import { assertEquals } from "@std/assert";
import { TypedEmitter } from "../../src/platform/typed_emitter.ts";

interface Events {
  tick: number;
  tock: string;
  "clock:started": number;
  "clock:*": number;
}

Deno.test("TypedEmitter.emit() calls the other listeners and returns when one throws", () => {
  const reported: string[] = [];
  const emitter = new TypedEmitter<Events>((error, name) => reported.push(`${name}: ${error}`));
  const seen: unknown[] = [];
  emitter.on("tick", () => {
    throw new Error("no");
  });
  emitter.on("tick", (value) => seen.push(value));
  emitter.emit("tick", 1);
  assertEquals(seen, [1]);
  assertEquals(reported, ["tick: Error: no"]);
});

Deno.test("TypedEmitter.off() removes the listeners of on() and once()", () => {
  const emitter = new TypedEmitter<Events>(() => {});
  let calls = 0;
  const listener = (): void => void calls++;
  emitter.on("tick", listener);
  emitter.once("tock", listener);
  emitter.on("clock:*", listener);
  assertEquals(emitter.listenerCount(), 3);
  emitter.off("tick", listener);
  emitter.off("tock", listener);
  emitter.off("clock:*", listener);
  emitter.emit("tick", 1);
  emitter.emit("tock", "");
  emitter.emit("clock:started", 1);
  assertEquals([calls, emitter.listenerCount()], [0, 0]);
});

Deno.test("TypedEmitter.on() returns a function that removes the listener", () => {
  const emitter = new TypedEmitter<Events>(() => {});
  const seen: number[] = [];
  const remove = emitter.on("tick", (value) => seen.push(value));
  emitter.emit("tick", 1);
  remove();
  remove();
  emitter.emit("tick", 2);
  assertEquals([seen, emitter.listenerCount()], [[1], 0]);
});

Deno.test("TypedEmitter.once() calls the listener once", () => {
  const emitter = new TypedEmitter<Events>(() => {});
  const seen: number[] = [];
  emitter.once("tick", (value) => seen.push(value));
  emitter.emit("tick", 1);
  emitter.emit("tick", 2);
  assertEquals(seen, [1]);
});

Deno.test("TypedEmitter calls the listeners of a family last, with the name of the event", () => {
  const emitter = new TypedEmitter<Events>(() => {});
  const seen: unknown[][] = [];
  emitter.on("clock:*", (...args: unknown[]) => seen.push(args));
  emitter.on("clock:started", (...args: unknown[]) => seen.push(args));
  emitter.emit("clock:started", 1);
  emitter.emit("tick", 2);
  assertEquals(seen, [[1], [1, "clock:started"]]);
});
