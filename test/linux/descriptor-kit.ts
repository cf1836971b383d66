import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How many sockets and files of these tests this process has open. */
export function descriptorCount(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return /^socket:|nsm-files-/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false; // that of the folder
    }
  }).length;
}

/** Resolves when no more descriptors are open than that; closing takes some turns of the loop. */
export async function descriptorsDownTo(count: number): Promise<void> {
  while (descriptorCount() > count) await new Promise((resolve) => setImmediate(resolve));
}

/** A folder with open files, each of another inode. */
export class OpenFiles {
  readonly folder = mkdtempSync(join(tmpdir(), "nsm-files-"));
  private readonly open = new Set<number>();

  add(name: string, text = name): number {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    const fd = openSync(path, "r");
    this.open.add(fd);
    return fd;
  }

  many(count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.add(String(i)));
  }

  remove(): void {
    for (const fd of this.open) closeSync(fd);
    rmSync(this.folder, { recursive: true });
  }
}
