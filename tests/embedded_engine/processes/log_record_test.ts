import { assertEquals } from "@std/assert";
import {
  decodeRecords,
  encodeFrame,
  encodeRecord,
  type LogRecord,
} from "../../../src/embedded_engine/processes/log_record.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const RECORDS: readonly LogRecord[] = [
  { stream: "stdout", timeNano: 1_767_225_600_123_456_789n, payload: bytes("hello\n") },
  { stream: "stderr", timeNano: 0n, payload: bytes("") },
  { stream: "stdout", timeNano: 2n ** 63n, payload: Uint8Array.of(0, 255, 10) },
];

Deno.test("decodeRecords() returns what encodeRecord() wrote, wherever the bytes are cut", () => {
  const all = Uint8Array.from(RECORDS.flatMap((record) => [...encodeRecord(record)]));
  for (let cut = 0; cut <= all.length; cut++) {
    const first = decodeRecords(all.subarray(0, cut));
    const second = decodeRecords(Uint8Array.of(...first.rest, ...all.subarray(cut)));
    assertEquals([...first.records, ...second.records], [...RECORDS]);
    assertEquals(second.rest.length, 0);
  }
});

Deno.test("encodeFrame() encodes as Docker does: stream, three zeros, length big-endian, payload", () => {
  assertEquals([...encodeFrame("stdout", bytes("hi"))], [1, 0, 0, 0, 0, 0, 0, 2, 104, 105]);
  assertEquals([...encodeFrame("stderr", new Uint8Array(258)).subarray(0, 8)], [2, 0, 0, 0, 0, 0, 1, 2]);
});
