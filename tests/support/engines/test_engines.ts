import type { TempDir } from "../temp_dir.ts";
import { dockerAvailable, startDocker } from "./docker_engine.ts";
import { TestEngine } from "./embedded_engine.ts";

/** An engine of a test's own. */
export interface StartedEngine extends AsyncDisposable {
  readonly socketPath: string;
}

export interface EngineUnderTest {
  readonly name: string;
  /** It cannot run here. */
  readonly ignore: boolean;
  /** @param dir for what the engine keeps, where it does not make a directory itself */
  readonly start: (dir: TempDir) => Promise<StartedEngine>;
}

/** The engines on which a test of the whole bridge runs. */
export const TEST_ENGINES: readonly EngineUnderTest[] = [
  {
    name: "the embedded engine",
    ignore: false,
    start: () => TestEngine.start(),
  },
  { name: "dockerd", ignore: !await dockerAvailable(), start: () => startDocker() },
];
