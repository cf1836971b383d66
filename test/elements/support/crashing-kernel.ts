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
export function crashingKernel(kernel: Kernel, steps: number): { kernel: Kernel; crashed: Promise<void> } {
  const held = new Set<Namespace>();
  let left = steps;
  let hasCrashed = false;
  let markCrashed!: () => void;
  const crashed = new Promise<void>((resolve) => (markCrashed = resolve));
  const never = new Promise<never>(() => {});

  /** Whether the process is alive for a change. Its open namespaces close with it. */
  const survivesChange = (): boolean => {
    if (!hasCrashed && left-- > 0) return true;
    hasCrashed = true;
    held.forEach((namespace) => namespace.close());
    markCrashed();
    return false;
  };
  const watched = (namespace: Namespace): Namespace =>
    new Proxy(namespace, {
      get(target, property, receiver) {
        const value: unknown = Reflect.get(target, property, receiver);
        if (typeof value !== "function" || property === "close") return value;
        return (...args: unknown[]): unknown => {
          if (hasCrashed || (changes.has(String(property)) && !survivesChange())) return never;
          return Reflect.apply(value, target, args);
        };
      },
    });
  const originals = new WeakMap<Namespace, Namespace>();

  return {
    crashed,
    kernel: {
      open(path) {
        const namespace = kernel.open(path);
        held.add(namespace);
        const seen = watched(namespace);
        originals.set(seen, namespace);
        return seen;
      },
      pathTo: (id) => (hasCrashed ? never : kernel.pathTo(id)),
      reach: (id) => kernel.reach(id),
      createVeth: (a, b) =>
        survivesChange()
          ? kernel.createVeth(
              { ...a, namespace: originals.get(a.namespace)! },
              { ...b, namespace: originals.get(b.namespace)! },
            )
          : never,
    },
  };
}
