import { assert, assertEquals } from "@std/assert";
import { LineConnection } from "../../../src/daemon/operations/event_requests.ts";
import type { EventLog } from "../../../src/eventlog/event_log.ts";
import type { CloseReason } from "../../../src/eventlog/subscription.ts";
import { memoryLog } from "../../support/daemons/journaled_log.ts";
import { RecordingChannel } from "../../support/daemons/recording_channel.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { within } from "../../support/within.ts";

interface Subscribed extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly log: EventLog;
  readonly channel: RecordingChannel;
  readonly connection: LineConnection;
  readonly closed: Promise<CloseReason>;
  serve(): Promise<void>;
}

function subscribe(): Subscribed {
  const clock = new FakeClock();
  const log = memoryLog({ clock });
  const channel = new RecordingChannel();
  const connection = new LineConnection();
  const { promise: closed, resolve } = Promise.withResolvers<CloseReason>();
  const subscription = log.subscribeResumable({
    connection,
    onClose(reason) {
      connection.closed(reason);
      resolve(reason);
    },
  });
  return {
    clock,
    log,
    channel,
    connection,
    closed,
    serve: () =>
      within(5_000, "the end of serve()", connection.serve(channel, () => subscription.close("gone"))),
    [Symbol.asyncDispose]: () => log.close(0),
  };
}

Deno.test("LineConnection cuts a pending write when the log closes the subscriber as stalled", async () => {
  await using given = subscribe();
  given.channel.stall();
  const served = given.serve();
  given.log.append({ type: "session.created" });
  await new Promise((resolve) => setTimeout(resolve, 0));
  for (let seconds = 0; seconds < 40; seconds += 5) given.clock.advance(5_000);
  assertEquals(await within(5_000, "the end", given.closed), "stalled");
  await served;
  assert(given.channel.abortSignal.aborted);
});

Deno.test("LineConnection ends its subscription when the client hangs up, even before it is served", async () => {
  for (const isServed of [true, false]) {
    await using given = subscribe();
    const served = isServed ? given.serve() : undefined;
    given.channel.hangUp();
    await (served ?? given.serve());
    assertEquals(await given.closed, "gone");
    assertEquals(given.log.stats().subscribers, 0);
  }
});
