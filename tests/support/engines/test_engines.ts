import type { TempDir } from "../temp_dir.ts";
import { dockerAvailable, startDocker } from "./docker_engine.ts";
import { TestEngine } from "./embedded_engine.ts";

/** A private engine of a test. */
export interface StartedEngine extends AsyncDisposable {
  readonly socketPath: string;
}

export interface EngineUnderTest {
  readonly name: string;
  /** The engine cannot run on this machine. */
  readonly ignore: boolean;
  /** @param dir for an engine that does not create a directory itself */
  readonly start: (dir: TempDir) => Promise<StartedEngine>;
}

/** The engines on which tests of the whole path run. */
export const TEST_ENGINES: readonly EngineUnderTest[] = [
  {
    name: "the embedded engine",
    ignore: false,
    start: () => TestEngine.start(),
  },
  { name: "dockerd", ignore: !await dockerAvailable(), start: () => startDocker() },
];
