import type { NetworkServiceEndpoint } from "../api/index.js";
import { fittingEndpoints } from "./matching.js";
import { type EndpointChoice } from "./endpoint-choice.js";

/**
 * The endpoints of one service, indexed by label. Selects endpoints in rotating order without checking every
 * endpoint.
 */
export class EndpointCircles {
  private readonly all = new Circle();
  private readonly byLabel = new Map<string, Circle>();

  constructor(private readonly service: string) {}

  put(endpoint: NetworkServiceEndpoint): void {
    const before = this.all.get(endpoint.name);
    const labels = this.labelsOf(endpoint);
    if (before) this.leave(before, new Set(labels));
    this.all.put(endpoint);
    for (const label of labels) {
      const circle = this.byLabel.get(label) ?? new Circle();
      circle.put(endpoint);
      this.byLabel.set(label, circle);
    }
  }

  delete(name: string): void {
    const endpoint = this.all.get(name);
    if (!endpoint) return;
    this.leave(endpoint, new Set());
    this.all.delete(name);
  }

  /**
   * Returns at most `limit` matching endpoints in rotating order, or undefined if the service has no more than
   * `limit` endpoints.
   */
  choose(
    { service, labels, limit }: EndpointChoice,
    isCurrent: (endpoint: NetworkServiceEndpoint) => boolean,
  ): readonly NetworkServiceEndpoint[] | undefined {
    if (this.all.size <= limit) return undefined;
    const chosen: NetworkServiceEndpoint[] = [];
    const source = {
      all: () => this.all.walk(),
      having: (label: string, value: string) => this.byLabel.get(keyOf(label, value))?.walk() ?? [],
    };
    for (const endpoint of fittingEndpoints(labels, service, source)) {
      if (isCurrent(endpoint)) chosen.push(endpoint);
      if (chosen.length === limit) break;
    }
    return chosen;
  }

  private leave(endpoint: NetworkServiceEndpoint, remaining: ReadonlySet<string>): void {
    for (const label of this.labelsOf(endpoint)) {
      if (remaining.has(label)) continue;
      const circle = this.byLabel.get(label);
      circle?.delete(endpoint.name);
      if (circle?.size === 0) this.byLabel.delete(label);
    }
  }

  private labelsOf({ networkServiceLabels: all }: NetworkServiceEndpoint): readonly string[] {
    const labels = Object.hasOwn(all, this.service) ? all[this.service]!.labels : {};
    return Object.entries(labels).map(([label, value]) => keyOf(label, value));
  }
}

function keyOf(label: string, value: string): string {
  return `${label}\0${value}`;
}

/** Endpoints in a circle. Each walk starts at the endpoint after the start of the previous walk. */
class Circle {
  private readonly endpoints: NetworkServiceEndpoint[] = [];
  private readonly places = new Map<string, number>();
  private turn = 0;

  get size(): number {
    return this.endpoints.length;
  }

  get(name: string): NetworkServiceEndpoint | undefined {
    const place = this.places.get(name);
    return place === undefined ? undefined : this.endpoints[place];
  }

  put(endpoint: NetworkServiceEndpoint): void {
    const place = this.places.get(endpoint.name) ?? this.endpoints.length;
    this.places.set(endpoint.name, place);
    this.endpoints[place] = endpoint;
  }

  /** The last endpoint moves to the free place. */
  delete(name: string): void {
    const place = this.places.get(name);
    if (place === undefined) return;
    this.places.delete(name);
    const last = this.endpoints.pop()!;
    if (last.name === name) return;
    this.endpoints[place] = last;
    this.places.set(last.name, place);
  }

  *walk(): Iterable<NetworkServiceEndpoint> {
    const start = this.turn++;
    const { size } = this;
    for (let i = 0; i < size; i++) yield this.endpoints[(start + i) % size]!;
  }
}
