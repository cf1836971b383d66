import type { Netlink, VethPair } from "../../linux/index.js";

/** A network namespace, open for as long as it is worked on. */
export interface Namespace extends Pick<
  Netlink,
  | "link"
  | "links"
  | "setLink"
  | "deleteLink"
  | "addresses"
  | "addAddress"
  | "removeAddress"
  | "addressesUsable"
  | "routes"
  | "replaceRoute"
  | "deleteRoute"
  | "neighbors"
  | "replaceNeighbor"
  | "deleteNeighbor"
> {
  /** `device:inode` of the namespace file: the same exactly when the namespace is the same. */
  readonly id: string;
  /** Lets its users ping without privilege. */
  allowPing(): void;
  enableIpv6(link: string): void;
  /** May be called again. */
  close(): void;
}

/** One end of a veth pair to be made; it comes up at once. */
export interface NewEnd {
  readonly namespace: Namespace;
  readonly name: string;
  readonly alias: string;
  readonly mac: string;
  readonly mtu?: number;
}

/**
 * What the cross connect needs of the kernel. {@link linuxKernel} is the real one; tests bring their own.
 */
export interface Kernel {
  /**
   * Opens a network namespace by path.
   *
   * @throws NsmError NOT_FOUND when nothing is there, INVALID_ARGUMENT when it is something else.
   */
  open(path: string): Namespace;
  /** Another path to a namespace whose own path leads nowhere any more; undefined when there is none. */
  pathTo(id: string): Promise<string | undefined>;
  /** @throws NsmError ALREADY_EXISTS when a name is taken; neither end is left then. */
  createVeth(a: NewEnd, b: NewEnd): Promise<VethPair>;
}
