import { assert, assertEquals, assertRejects } from "@std/assert";
import type { SessionDetach } from "../../src/protocol/session_operations.ts";
import type { TerminalSize } from "../../src/sessions/screen/terminal_size.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TestClient } from "../support/sessions/test_client.ts";

const MEGABYTE = new Uint8Array(1024 * 1024);

/** A client that is attached to a recorder of its input, its sizes, and its reasons to leave. */
class Attached implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly peer = new TestClient({ clock: this.clock });
  readonly typed: string[] = [];
  readonly sizes: TerminalSize[] = [];
  readonly left: SessionDetach[] = [];
  /** Input is accepted when this resolves. */
  hold: Promise<void> = Promise.resolve();

  constructor() {
    this.peer.client.attachTo({
      onInput: async (bytes) => {
        this.typed.push(new TextDecoder().decode(bytes));
        await this.hold;
      },
      onResize: (size) => void this.sizes.push(size),
      onLeave: (detach) => {
        this.left.push(detach);
        this.peer.client.finish({ detach });
      },
    });
    this.peer.serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer[Symbol.asyncDispose]();
    assertEquals(this.clock.pendingTimers, 0, "timers are pending");
  }
}

Deno.test("serve() carries output, input and sizes, and ends with the last frame", async () => {
  await using attached = new Attached();
  const { peer } = attached;
  peer.client.send(new TextEncoder().encode("hello"));
  await peer.untilOutput("hello");
  peer.type("ls\n");
  peer.resize(132, 50);
  await turn();
  peer.client.send(new Uint8Array(200_000).fill(0x2e));
  peer.client.finish({ exit: { exitCode: 3, reason: "exit" } });
  assertEquals(await peer.untilLast(), { kind: "exit", value: { exitCode: 3, reason: "exit" } });
  await peer.served;
  assertEquals(peer.output.length, 200_005);
  assertEquals([attached.typed, attached.sizes, attached.left], [["ls\n"], [{ columns: 132, rows: 50 }], []]);
});

Deno.test("SessionClient leaves when the client detaches, disconnects, or sends an invalid frame", async () => {
  const cases: [(peer: TestClient) => void, SessionDetach["reason"]][] = [
    [(peer) => peer.sendFrame("detach"), "requested"],
    [(peer) => peer.vanish(), "requested"],
    [(peer) => peer.sendFrame("exit", new TextEncoder().encode("{}")), "protocol"],
    [(peer) => peer.sendFrame("resize", new Uint8Array(3)), "protocol"],
  ];
  for (const [act, reason] of cases) {
    await using attached = new Attached();
    act(attached.peer);
    await attached.peer.served;
    assertEquals(attached.left.map((each) => each.reason), [reason]);
  }
});

Deno.test("SessionClient reports what was wrong with a frame", async () => {
  await using attached = new Attached();
  attached.peer.sendFrame("stderr");
  const { kind, value } = await attached.peer.untilLast();
  assertEquals([kind, value], ["detach", {
    reason: "protocol",
    error: "a client cannot send a stderr frame",
  }]);
});

Deno.test("SessionClient drops a client that reads nothing for 2 s while its queue is full", async () => {
  await using attached = new Attached();
  const { peer, clock, left } = attached;
  peer.stall();
  peer.client.send(MEGABYTE);
  assert(peer.client.isFull);
  const room = peer.client.room();
  clock.advance(1_999);
  assertEquals(left, []);
  clock.advance(1);
  assertEquals(left, [{ reason: "slow" }]);
  // A session that waited for room continues.
  await room;
  assert(!peer.client.isFull);
  clock.advance(2_000);
  await peer.served;
});

Deno.test("SessionClient keeps a slow client that continues to read", async () => {
  await using attached = new Attached();
  const { peer, clock, left } = attached;
  for (let sent = 0; sent < 20; sent++) {
    peer.client.send(MEGABYTE);
    await peer.client.room();
    clock.advance(1_500);
    // A client must not be silent for too long.
    peer.sendFrame("ping");
  }
  peer.client.finish({ exit: { reason: "exit" } });
  await peer.served;
  assertEquals([peer.output.length, left], [20 * MEGABYTE.length, []]);
});

Deno.test("SessionClient limits its queue", async () => {
  await using attached = new Attached();
  attached.peer.stall();
  for (let sent = 0; sent < 17 && attached.left.length === 0; sent++) attached.peer.client.send(MEGABYTE);
  assertEquals(attached.left, [{ reason: "slow" }]);
});

Deno.test("SessionClient pings every 3 s, and drops a client that sends nothing for 10 s", async () => {
  await using attached = new Attached();
  const { peer, clock, left } = attached;
  clock.advance(9_000);
  peer.sendFrame("ping");
  await turn();
  assertEquals(peer.pings, 3);
  clock.advance(9_999);
  assertEquals(left, []);
  clock.advance(1);
  assertEquals(left, [{ reason: "silent" }]);
  assertEquals(await peer.untilLast(), { kind: "detach", value: { reason: "silent" } });
  await peer.served;
});

Deno.test("SessionClient does not drop a silent client while the session has not taken its input", async () => {
  await using attached = new Attached();
  const { peer, clock, left } = attached;
  const held = Promise.withResolvers<void>();
  attached.hold = held.promise;
  peer.type("a paste");
  await turn();
  assertEquals(attached.typed, ["a paste"]);
  clock.advance(60_000);
  assertEquals(left, []);
  held.resolve();
  await turn();
  clock.advance(9_999);
  assertEquals(left, []);
  clock.advance(3_001);
  assertEquals(left, [{ reason: "silent" }]);
});

Deno.test("serve() rejects with a programming error, and leaves the session", async () => {
  const attached = new Attached();
  attached.hold = Promise.reject(new TypeError("a mistake"));
  attached.hold.catch(() => {});
  attached.peer.type("x");
  await assertRejects(() => attached.peer.served!, TypeError, "a mistake");
  assertEquals(attached.left, [{ reason: "requested" }]);
});

/** Lets pending promises settle. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
