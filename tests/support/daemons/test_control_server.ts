import {
  ControlServer,
  type ControlServerOptions,
} from "../../../src/daemon/control_socket/control_server.ts";
import { type Logger, silentLogger } from "../../../src/platform/logger.ts";
import { FakeClock } from "../fake_clock.ts";
import { readText } from "../socket_pairs.ts";
import { TempDir } from "../temp_dir.ts";

export const STATUS = '{"v":1,"op":"status"}\n';

export interface TestControlServerOptions {
  readonly handle?: ControlServerOptions["handle"];
  readonly barrier?: () => Promise<void>;
  readonly maxConnections?: number;
  readonly maxStreams?: number;
  readonly logger?: Logger;
}

/** A control server with its own socket, and a clock that the test advances. */
export interface TestControlServer extends AsyncDisposable {
  readonly clock: FakeClock;
  connect(): Promise<Deno.UnixConn>;
  /** Sends `text`, and reads the reply to its end. */
  ask(text: string): Promise<string>;
}

export async function startControlServer(options: TestControlServerOptions = {}): Promise<TestControlServer> {
  await using parts = new AsyncDisposableStack();
  const dir = parts.use(await TempDir.make());
  const path = dir.join("s");
  const clock = new FakeClock();
  parts.use(
    new ControlServer({
      listener: Deno.listen({ transport: "unix", path }),
      handle: ({ op }) => ({ result: op }),
      barrier: () => Promise.resolve(),
      maxConnections: 256,
      clock,
      logger: silentLogger,
      ...options,
    }),
  );
  const connect = () => Deno.connect({ transport: "unix", path });
  const kept = parts.move();
  return {
    clock,
    connect,
    async ask(text) {
      using conn = await connect();
      await conn.write(new TextEncoder().encode(text));
      const reply = await readText(conn, "\n");
      await conn.closeWrite();
      return reply + await readText(conn);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Resolves when everything that is ready now was processed. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
