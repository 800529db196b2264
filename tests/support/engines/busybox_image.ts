/** Returns a tar with the machine's static busybox and links to it: the root file system of a small image. */
export async function busyboxTar(workDir: string): Promise<Uint8Array<ArrayBuffer>> {
  const root = `${workDir}/busybox-root`;
  await Deno.mkdir(`${root}/bin`, { recursive: true });
  await Deno.mkdir(`${root}/tmp`, { recursive: true });
  const which = await new Deno.Command("sh", { args: ["-c", "command -v busybox"] }).output();
  await Deno.copyFile(new TextDecoder().decode(which.stdout).trim(), `${root}/bin/busybox`);
  for (const name of ["sh", "sleep", "echo", "cat", "true", "false", "kill", "ls", "head", "tail"]) {
    await Deno.symlink("busybox", `${root}/bin/${name}`);
  }
  const tar = await new Deno.Command("tar", { args: ["-C", root, "-c", "."], stdout: "piped" }).output();
  if (!tar.success) throw new Error(`tar failed: ${new TextDecoder().decode(tar.stderr)}`);
  await Deno.remove(root, { recursive: true });
  return tar.stdout as Uint8Array<ArrayBuffer>;
}
