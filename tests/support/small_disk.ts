import { TempDir } from "./temp_dir.ts";

/** A file system of 1 MiB, for tests that fill a disk. */
export class SmallDisk implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async mount(path: string): Promise<SmallDisk> {
    await Deno.mkdir(path);
    const { success } = await new Deno.Command("mount", {
      args: ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path],
      stderr: "null",
    }).output();
    if (!success) throw new Deno.errors.PermissionDenied(`cannot mount a file system at ${path}`);
    return new SmallDisk(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Deno.Command("umount", { args: ["-l", this.path] }).output();
  }
}

/** Returns whether the test may mount a file system. */
export async function canMount(): Promise<boolean> {
  await using dir = await TempDir.make();
  try {
    await using _disk = await SmallDisk.mount(dir.join("disk"));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
