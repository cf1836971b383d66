import type { Kernel, Namespace } from "../../../src/elements/cross-connect/index.js";

const changes = new Set([
  "allowPing",
  "enableIpv6",
  "setLink",
  "deleteLink",
  "addAddress",
  "removeAddress",
  "replaceRoute",
  "deleteRoute",
  "replaceNeighbor",
  "deleteNeighbor",
]);

/** The kernel of a process that is killed after `steps` changes. Later calls are never answered. */
export function mortalKernel(kernel: Kernel, steps: number): { kernel: Kernel; death: Promise<void> } {
  const held = new Set<Namespace>();
  let left = steps;
  let dead = false;
  let die!: () => void;
  const death = new Promise<void>((resolve) => (die = resolve));
  const never = new Promise<never>(() => {});

  /** Whether the process is alive for a change. Its open namespaces close with it. */
  const survives = (): boolean => {
    if (!dead && left-- > 0) return true;
    dead = true;
    held.forEach((namespace) => namespace.close());
    die();
    return false;
  };
  const watched = (namespace: Namespace): Namespace =>
    new Proxy(namespace, {
      get(target, property, receiver) {
        const value: unknown = Reflect.get(target, property, receiver);
        if (typeof value !== "function" || property === "close") return value;
        return (...args: unknown[]): unknown => {
          if (dead || (changes.has(String(property)) && !survives())) return never;
          return Reflect.apply(value, target, args);
        };
      },
    });
  const originals = new WeakMap<Namespace, Namespace>();

  return {
    death,
    kernel: {
      open(path) {
        const namespace = kernel.open(path);
        held.add(namespace);
        const seen = watched(namespace);
        originals.set(seen, namespace);
        return seen;
      },
      pathTo: (id) => (dead ? never : kernel.pathTo(id)),
      createVeth: (a, b) =>
        survives()
          ? kernel.createVeth(
              { ...a, namespace: originals.get(a.namespace)! },
              { ...b, namespace: originals.get(b.namespace)! },
            )
          : never,
    },
  };
}
