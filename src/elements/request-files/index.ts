/**
 * The files of one Request: those that peers have passed as descriptors, and those of this process that may be
 * passed on. recv-fd and send-fd fill and empty it; a mechanism reads it.
 *
 * A path in a message is only text: another process may have written it, from another mount namespace. Only a
 * descriptor proves that its sender has access to the file.
 *
 * @example
 * import { Code, NsmError } from "nsm-sdk";
 * import { openNamespace } from "nsm-sdk/linux";
 * import { requestFiles } from "nsm-sdk/elements/request-files";
 *
 * const file = ctx.get(requestFiles)?.received("inode://4/4026532233");
 * if (!file) throw new NsmError(Code.PermissionDenied, "no descriptor came");
 * const namespace = openNamespace(file.path);
 *
 * @packageDocumentation
 */
import { ContextKey } from "../../core/index.js";
import { closeReceived } from "../../linux/sockets/close-received.js";

/** A file that a peer has passed as a descriptor. */
export interface ReceivedFile {
  /** The descriptor. It is closed at the end of the Request. */
  readonly fd: number;
  /** A path by which this process opens the file until the end of the Request: `/proc/self/fd/<n>`. */
  readonly path: string;
  /** A path by which this process opens the file as long as its sender lives, if there is one. */
  readonly lastingPath?: string | undefined;
}

/** See the module description. */
export class RequestFiles {
  private readonly held = new Map<string, ReceivedFile>();
  private readonly offered = new Set<string>();

  /** The file with this inode URL, if a peer has passed it during this Request. */
  received(inodeUrl: string): ReceivedFile | undefined {
    return this.held.get(inodeUrl);
  }

  /** Takes ownership of a descriptor. */
  hold(inodeUrl: string, fd: number, lastingPath?: string): void {
    if (this.held.has(inodeUrl)) return closeReceived(fd);
    this.held.set(inodeUrl, { fd, path: `/proc/self/fd/${fd}`, lastingPath });
  }

  /** Allows send-fd to open this file URL, and to pass the file to the next or the previous hop. */
  offer(fileUrl: string): void {
    this.offered.add(fileUrl);
  }

  isOffered(fileUrl: string): boolean {
    return this.offered.has(fileUrl);
  }

  /** Closes the received descriptors. */
  close(): void {
    for (const { fd } of this.held.values()) closeReceived(fd);
    this.held.clear();
  }
}

/** The files of the current Request. Set by recvFdServer(), and by clients of a mechanism. */
export const requestFiles = new ContextKey<RequestFiles>("request-files");
