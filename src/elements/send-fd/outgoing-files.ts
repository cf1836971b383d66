import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Mechanism } from "../../api/index.js";
import { Code, NsmError } from "../../core/index.js";
import { inodeUrlOf } from "../../linux/index.js";
import { O_PATH } from "../../linux/constants.js";
import type { RequestFiles } from "../request-files/index.js";
import { inodeUrlIn, withInodeUrl } from "../request-files/mechanism-url.js";

/** The files that go out with one message. */
export class OutgoingFiles {
  /** Descriptors by inode URL. */
  private readonly files = new Map<string, number>();
  private readonly opened = new Map<string, { readonly fd: number; readonly inodeUrl: string }>();

  constructor(private readonly known: RequestFiles | undefined) {}

  get descriptors(): readonly number[] {
    return [...this.files.values()];
  }

  /** Like addOwn(). Also adds a file that was received during this Request. */
  add(mechanism: Mechanism): Mechanism {
    const url = inodeUrlIn(mechanism);
    const received = this.known?.received(url);
    if (received) this.files.set(url, received.fd);
    return this.addOwn(mechanism);
  }

  /**
   * Adds the file of a mechanism, if this process offers it. Returns the mechanism as the message names it.
   *
   * @throws NsmError FAILED_PRECONDITION if the file cannot be opened
   */
  addOwn(mechanism: Mechanism): Mechanism {
    const url = inodeUrlIn(mechanism);
    if (!this.known?.isOffered(url)) return mechanism;
    const { fd, inodeUrl } = this.open(url);
    this.files.set(inodeUrl, fd);
    return withInodeUrl(mechanism, inodeUrl);
  }

  /** The mechanism as this process names it. */
  restore(mechanism: Mechanism): Mechanism {
    const url = inodeUrlIn(mechanism);
    const own = [...this.opened].find(([, { inodeUrl }]) => inodeUrl === url);
    return own ? withInodeUrl(mechanism, own[0]) : mechanism;
  }

  /** Closes what it has opened. */
  close(): void {
    for (const { fd } of this.opened.values()) closeSync(fd);
    this.opened.clear();
  }

  private open(fileUrl: string): { readonly fd: number; readonly inodeUrl: string } {
    const known = this.opened.get(fileUrl);
    if (known) return known;
    let fd: number;
    try {
      fd = openSync(fileURLToPath(fileUrl), O_PATH);
    } catch (cause) {
      throw new NsmError(Code.FailedPrecondition, `cannot pass ${fileUrl} as a descriptor`, { cause });
    }
    const file = { fd, inodeUrl: inodeUrlOf(fd) };
    this.opened.set(fileUrl, file);
    return file;
  }
}
