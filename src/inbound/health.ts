import { BehaviorSubject, distinctUntilChanged, map, type Observable } from "rxjs";
import {
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthService,
} from "../api/index.js";
import { Code, NsmError } from "../core/index.js";
import { stream, unary, type Handler, type Handlers } from "./handlers.js";
import { healthChanges } from "./stream-rules.js";

/**
 * The health states of a server: one per service, by full name, and one for the whole server. The whole
 * server serves while every service serves.
 *
 * Source: gRPC health checking protocol, version 1.
 */
export class HealthStates {
  private readonly states = new Map<string, boolean>();
  private readonly changes = new BehaviorSubject<void>(undefined);

  /** Creates the states of a server with these handlers. All start as serving. */
  constructor(handlers: Handlers) {
    this.states.set("", true);
    for (const method of handlers.keys()) this.states.set(method.split("/")[1]!, true);
  }

  /** Sets the state of one service; an empty name stands for the whole server. Adds an unknown name. */
  set(service: string, serving: boolean): void {
    this.states.set(service, serving);
    this.changes.next();
  }

  /** Sets the state of every service and of the whole server. */
  setAll(serving: boolean): void {
    for (const service of this.states.keys()) this.states.set(service, serving);
    this.changes.next();
  }

  /** The handlers of the service `grpc.health.v1.Health`. */
  handlers(): [string, Handler][] {
    return [
      unary(HealthService.check, async (_ctx, { service }) => {
        const status = this.status(service);
        if (status === ServingStatus.SERVICE_UNKNOWN) {
          throw new NsmError(
            Code.NotFound,
            `unknown service "${service}": this server has ${[...this.states.keys()].filter(Boolean).join(", ")}`,
          );
        }
        return HealthCheckResponse.create({ status });
      }),
      stream(HealthService.watch, healthChanges, (_ctx, { service }) => this.watch(service)),
    ];
  }

  private watch(service: string): Observable<HealthCheckResponse> {
    return this.changes.pipe(
      map(() => this.status(service)),
      distinctUntilChanged(),
      map((status) => HealthCheckResponse.create({ status })),
    );
  }

  private status(service: string): ServingStatus {
    const serving = service === "" ? [...this.states.values()].every(Boolean) : this.states.get(service);
    if (serving === undefined) return ServingStatus.SERVICE_UNKNOWN;
    return serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }
}
