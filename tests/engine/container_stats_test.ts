import { assertEquals } from "@std/assert";
import { readStats } from "../../src/engine/container_stats.ts";

Deno.test("readStats() subtracts the page cache, for both versions of control groups", () => {
  const usage = 10_000_000;
  const cases: [Record<string, number> | null | undefined, number][] = [
    [undefined, usage],
    [null, usage],
    [{ inactive_file: 4_000_000 }, 6_000_000],
    [{ total_inactive_file: 1_000_000 }, 9_000_000],
    // The cache is read a moment later than the usage, so it may be larger.
    [{ inactive_file: 11_000_000 }, usage],
  ];
  for (const [stats, memoryBytes] of cases) {
    const memory = stats === undefined ? { usage } : { usage, stats };
    assertEquals(readStats({ memory_stats: memory }), { memoryBytes });
  }
});

Deno.test("readStats() recognises the values that stand for no limit", () => {
  const limits = (limit: number) =>
    readStats({ memory_stats: { usage: 1, limit }, pids_stats: { current: 2, limit } });
  assertEquals(limits(64), { memoryBytes: 1, memoryLimitBytes: 64, pids: 2, pidsLimit: 64 });
  assertEquals(limits(0), { memoryBytes: 1, pids: 2 });
  assertEquals(limits(18_446_744_073_709_551_615), { memoryBytes: 1, pids: 2 });
});

Deno.test("readStats() computes the processor share from two readings", () => {
  const reading = (used: number, system: number) => ({
    cpu_usage: { total_usage: used },
    system_cpu_usage: system,
    online_cpus: 4,
  });
  assertEquals(readStats({ cpu_stats: reading(300, 2_000), precpu_stats: reading(100, 1_000) }), {
    cpuPercent: 80,
  });
  const none = { "cpu_usage": { total_usage: 0 } };
  assertEquals(readStats({ cpu_stats: reading(300, 2_000), precpu_stats: none }), {});
  assertEquals(readStats({ cpu_stats: reading(300, 2_000), precpu_stats: reading(300, 2_000) }), {});
  assertEquals(readStats({ cpu_stats: none, precpu_stats: none }), {});
});

Deno.test("readStats() is empty for a container that is not running", () => {
  assertEquals(readStats({ memory_stats: {}, pids_stats: {}, cpu_stats: {}, precpu_stats: {} }), {});
  assertEquals(readStats({}), {});
});
