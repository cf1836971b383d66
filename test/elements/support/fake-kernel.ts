import { Code, NsmError } from "../../../src/core/index.js";
import type { Kernel, Namespace, NewEnd } from "../../../src/elements/cross-connect/index.js";
import type { Address, Link, ListedNeighbor, ListedRoute, NamespaceById } from "../../../src/linux/index.js";

interface FakeLink extends Link {
  readonly addresses: Map<string, Address>;
  readonly routes: Map<string, ListedRoute>;
  readonly neighbors: Map<string, ListedNeighbor>;
  readonly far: { namespace: FakeNamespace; index: number } | undefined;
}

interface FakeNamespace {
  readonly id: string;
  readonly links: Map<number, FakeLink>;
}

const reachableIdOf = ({ id }: FakeNamespace): number => Number(id.slice(2)) - 4_026_532_000;

/** The addresses that the kernel gives to every interface. */
const linkLocal = "fe80::1/64";

function hostAddress(address: string, linkIndex: number): Address {
  const family = address.includes(":") ? 6 : 4;
  return { address, family, linkIndex, scope: "universe", tentative: false, duplicate: false };
}

/** The state of an interface in the fake kernel. */
export interface InterfaceState {
  readonly name: string;
  readonly alias: string | undefined;
  readonly mtu: number;
  readonly up: boolean;
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly neighbors: readonly string[];
}

/** A kernel in memory: namespaces by path, veth pairs between them, and all changes in order. */
export class FakeKernel implements Kernel {
  /** The changes, such as `setLink 3`. Reads are not included. */
  readonly operations: string[] = [];
  /** Number of open namespaces. */
  opened = 0;
  private readonly paths = new Map<string, FakeNamespace>();
  private readonly faults = new Map<string, Code>();
  private readonly holds = new Map<string, Promise<void>>();
  private inode = 4_026_532_000;
  private index = 1;

  constructor(...paths: string[]) {
    for (const path of paths) this.add(path);
  }

  add(path: string): void {
    this.paths.set(path, { id: `4:${this.inode++}`, links: new Map() });
  }

  /** Moves the namespace to this path. */
  move(path: string, to: string): void {
    this.paths.set(to, this.at(path));
    this.paths.delete(path);
  }

  /** Ends the last process of a namespace, and so deletes all its links and their other ends. */
  destroy(path: string): void {
    for (const link of this.at(path).links.values()) link.far?.namespace.links.delete(link.far.index);
    this.paths.delete(path);
  }

  /** Makes the next `addAddress`, or the next `addAddress 10.0.0.1/32`, fail. */
  failNext(operation: string, code: Code): void {
    this.faults.set(operation, code);
  }

  /** Makes the next call of an operation wait until the function it returns is called. */
  holdNext(operation: string): () => void {
    let release!: () => void;
    this.holds.set(operation, new Promise((resolve) => (release = resolve)));
    return release;
  }

  /** An interface of another program. */
  addLink(path: string, name: string): void {
    this.make(this.at(path), { name }, undefined);
  }

  indexOf(path: string, name: string): number | undefined {
    return [...this.at(path).links.values()].find((link) => link.name === name)?.index;
  }

  /** Changes an interface without a record. */
  change(path: string, name: string, change: Partial<Pick<Link, "alias" | "up">>): void {
    this.patch(this.at(path), this.indexOf(path, name)!, change);
  }

  show(path: string): readonly InterfaceState[] {
    return [...this.at(path).links.values()].map((link) => ({
      name: link.name,
      alias: link.alias,
      mtu: link.mtu,
      up: link.up,
      addresses: [...link.addresses.values()]
        .filter(({ scope }) => scope === "universe")
        .map(({ address }) => address),
      routes: [...link.routes.values()].map(
        ({ destination, gateway, scope }) => `${destination}${gateway ? ` via ${gateway}` : ""} ${scope}`,
      ),
      neighbors: [...link.neighbors.values()].map(({ address, mac, state }) => `${address} ${mac} ${state}`),
    }));
  }

  open(path: string): Namespace {
    const found = this.paths.get(path);
    if (!found) throw new NsmError(Code.NotFound, `cannot open the network namespace ${path}: no such file`);
    return this.handle(found);
  }

  async pathTo(id: string): Promise<string | undefined> {
    return [...this.paths].find(([, namespace]) => namespace.id === id)?.[0];
  }

  reach(id: number): NamespaceById {
    const found = [...this.paths.values()].find((namespace) => reachableIdOf(namespace) === id);
    return this.handle(found ?? { id: "ended", links: new Map() });
  }

  async createVeth(a: NewEnd, b: NewEnd) {
    this.did("createVeth", a.name, b.name);
    const [atA, atB] = [a, b].map(({ namespace }) =>
      [...this.paths.values()].find(({ id }) => id === namespace.id)!,
    );
    for (const [end, at] of [
      [a, atA!],
      [b, atB!],
    ] as const) {
      if ([...at.links.values()].some(({ name }) => name === end.name)) {
        throw new NsmError(Code.AlreadyExists, `${end.name} is taken`);
      }
    }
    const [i, j] = [this.index + 1, this.index + 2];
    const made = (end: NewEnd) => ({
      alias: end.alias,
      mac: end.mac,
      mtu: end.mtu ?? 1500,
      kind: "veth" as const,
    });
    return {
      a: this.make(atA!, { name: a.name, ...made(a), peerIndex: j }, { namespace: atB!, index: j }),
      b: this.make(atB!, { name: b.name, ...made(b), peerIndex: i }, { namespace: atA!, index: i }),
    };
  }

  private make(at: FakeNamespace, properties: Partial<Link>, far: FakeLink["far"]): FakeLink {
    const link: FakeLink = {
      index: ++this.index,
      name: "",
      kind: undefined,
      alias: undefined,
      mtu: 1500,
      mac: "02:00:00:00:00:99",
      up: true,
      carrier: true,
      group: 0,
      master: undefined,
      peerIndex: undefined,
      peerElsewhere: false,
      ...properties,
      addresses: new Map([[linkLocal, { ...hostAddress(linkLocal, this.index), scope: "link" }]]),
      routes: new Map(),
      neighbors: new Map(),
      far,
    };
    at.links.set(link.index, link);
    return link;
  }

  private handle(at: FakeNamespace): Namespace {
    let open = true;
    this.opened++;
    const find = (link: string | number): FakeLink => {
      if (!open) throw new NsmError(Code.FailedPrecondition, `the namespace ${at.id} is already closed`);
      const found = [...at.links.values()].find(({ index, name }) => index === link || name === link);
      if (!found) throw new NsmError(Code.NotFound, `no link ${link} in ${at.id}`);
      return found;
    };
    const remove = (from: Map<string, unknown>, key: string): void => {
      if (!from.delete(key)) throw new NsmError(Code.NotFound, `${key} is not there`);
    };
    return {
      id: at.id,
      reachableId: async () => reachableIdOf(at),
      allowPing: () => this.did("allowPing"),
      enableIpv6: (link) => this.did("enableIpv6", link),
      close: () => {
        if (open) this.opened--;
        open = false;
      },
      link: async (link) => find(link),
      links: async () => [...at.links.values()],
      setLink: async (link, change) => {
        this.did("setLink", find(link).name, ...Object.keys(change));
        this.patch(at, find(link).index, change as Partial<Link>);
      },
      deleteLink: async (link) => {
        const { index, far, name } = find(link);
        this.did("deleteLink", name);
        at.links.delete(index);
        far?.namespace.links.delete(far.index);
      },
      addresses: async (link) => (link === undefined ? [] : [...find(link).addresses.values()]),
      addAddress: async (link, address) => {
        this.did("addAddress", address);
        await this.released("addAddress");
        const { index, addresses } = find(link);
        addresses.set(address, hostAddress(address, index));
      },
      removeAddress: async (link, address) => {
        this.did("removeAddress", address);
        remove(find(link).addresses, address);
      },
      addressesUsable: async () => this.mayFail("addressesUsable"),
      routes: async (filter) => (filter?.link === undefined ? [] : [...find(filter.link).routes.values()]),
      replaceRoute: async ({ link, destination, gateway, scope = "link" }) => {
        this.did("replaceRoute", destination);
        const { index, routes } = find(link);
        routes.set(destination, {
          destination,
          family: destination.includes(":") ? 6 : 4,
          linkIndex: index,
          gateway,
          onlink: gateway !== undefined,
          table: 254,
          scope: destination.includes(":") ? "universe" : scope,
          source: undefined,
          metric: 0,
        });
      },
      deleteRoute: async ({ link, destination }) => {
        this.did("deleteRoute", destination);
        remove(find(link).routes, destination);
      },
      neighbors: async (link) => (link === undefined ? [] : [...find(link).neighbors.values()]),
      replaceNeighbor: async ({ link, address, mac, state = "permanent" }) => {
        this.did("replaceNeighbor", address);
        const { index, neighbors } = find(link);
        neighbors.set(address, { linkIndex: index, address, mac, state });
      },
      deleteNeighbor: async ({ link, address }) => {
        this.did("deleteNeighbor", address);
        remove(find(link).neighbors, address);
      },
    };
  }

  private at(path: string): FakeNamespace {
    const found = this.paths.get(path);
    if (!found) throw new Error(`the test has no namespace ${path}`);
    return found;
  }

  private patch(at: FakeNamespace, index: number, change: Partial<Link>): void {
    at.links.set(index, { ...at.links.get(index)!, ...change });
  }

  private async released(operation: string): Promise<void> {
    const hold = this.holds.get(operation);
    this.holds.delete(operation);
    await hold;
  }

  private did(operation: string, ...what: string[]): void {
    const done = [operation, ...what].join(" ");
    this.operations.push(done);
    this.mayFail(done);
    this.mayFail(operation);
  }

  private mayFail(operation: string): void {
    const code = this.faults.get(operation);
    this.faults.delete(operation);
    if (code !== undefined) throw new NsmError(code, `the test fails ${operation}`);
  }
}
