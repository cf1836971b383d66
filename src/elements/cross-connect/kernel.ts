import type { NamespaceById, Netlink, VethPair } from "../../linux/index.js";

/** An open network namespace. */
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
  /** `device:inode` of the namespace file. Equal if and only if the namespace is the same. */
  readonly id: string;
  /** Enables unprivileged pings. */
  allowPing(): void;
  enableIpv6(link: string): void;
  /**
   * The id by which this process reaches the namespace once it is closed here. It does not keep the namespace
   * alive. Undefined if the kernel assigns none.
   */
  reachableId(): Promise<number | undefined>;
  /** Closes the namespace. Further calls have no effect. */
  close(): void;
}

/** One end of a veth pair to create. It comes up at once. */
export interface NewEnd {
  readonly namespace: Namespace;
  readonly name: string;
  readonly alias: string;
  readonly mac: string;
  readonly mtu?: number;
}

/**
 * The kernel operations that the cross connect uses. {@link linuxKernel} implements them; tests pass their own
 * implementation.
 */
export interface Kernel {
  /**
   * Opens a network namespace by path.
   *
   * @throws NsmError NOT_FOUND if the file does not exist, INVALID_ARGUMENT if it is not a network namespace.
   */
  open(path: string): Namespace;
  /** Finds another path to a namespace whose own path is gone. Returns undefined if there is none. */
  pathTo(id: string): Promise<string | undefined>;
  /** Reaches a namespace by the number that `reachableId` has returned. */
  reach(reachableId: number): NamespaceById;
  /** @throws NsmError ALREADY_EXISTS if a name is taken; then neither end exists. */
  createVeth(a: NewEnd, b: NewEnd): Promise<VethPair>;
}
