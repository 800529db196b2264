import { assertEquals, assertThrows } from "@std/assert";
import { EventRequests } from "../../../src/daemon/operations/event_requests.ts";
import { EventLog } from "../../../src/eventlog/event_log.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { openStorage } from "../../../src/storage/storage.ts";

Deno.test("EventRequests refuses as busy when the daemon is ending", async () => {
  const parts = { clock: systemClock, logger: silentLogger };
  using storage = openStorage({ path: ":memory:", ...parts });
  const journal = storage.openJournal();
  await using log = new EventLog({ journal, ...parts });
  const requests = new EventRequests({ log, journal, ...parts });
  await requests[Symbol.asyncDispose]();
  const subscribe = () => requests.subscribe({ v: 1, op: "events.subscribe" });
  // `apex events --reconnect` then tries again.
  const error = assertThrows(subscribe, ApexError, "the daemon is ending");
  assertEquals(error.code, "busy");
});
