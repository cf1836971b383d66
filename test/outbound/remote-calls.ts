import { firstValueFrom, lastValueFrom } from "rxjs";
import { expect, test } from "vitest";
import { Connection, MonitorScopeSelector } from "../../src/api/index.js";
import { Code, codeOf, Context, explain, NsmError, peer, type Peer } from "../../src/core/index.js";
import { serverPeer } from "../../src/outbound/index.js";
import {
  kit,
  ctx,
  remoteTo,
  request,
  nse,
  echo,
  allEndpoints,
  hanging,
  aborted,
  failure,
  deferred,
} from "./remote-kit.js";

/** Calls with one answer, addresses and errors. */
export function callTests(): void {
  test("a Request goes there and its connection comes back", async () => {
    const { networkService } = await remoteTo({
      networkService: {
        request: async (_ctx, { connection }) => ({ ...connection!, networkServiceEndpointName: "nse-1" }),
        close: async () => {},
      },
    });
    await expect(networkService.request(ctx, request)).resolves.toEqual({
      ...request.connection,
      networkServiceEndpointName: "nse-1",
    });
  });

  test("fields of a newer peer pass unharmed", async () => {
    const { networkService } = await remoteTo({ networkService: echo });
    const connection: Connection = {
      ...request.connection!,
      _unknownFields: { 8002: [Buffer.from("\x01x")] },
    };
    const answer = await networkService.request(ctx, { ...request, connection });
    expect(Object.keys(answer._unknownFields ?? {})).toEqual(["8002"]);
  });

  test("a Close carries the connection and answers nothing", async () => {
    let closed: string | undefined;
    const { networkService } = await remoteTo({
      networkService: { ...echo, close: async (_ctx, { id }) => void (closed = id) },
    });
    await expect(networkService.close(ctx, request.connection!)).resolves.toBeUndefined();
    expect(closed).toBe("c1");
  });

  test("the server receives the caller's identity, address, and token with expiry", async () => {
    let caller: Peer | undefined;
    const { networkService } = await remoteTo({
      networkService: {
        ...echo,
        request: async (c, { connection }) => {
          caller = c.get(peer);
          return connection!;
        },
      },
    });
    await networkService.request(ctx, request);
    expect(caller).toMatchObject({ local: true });
    expect(caller?.address).not.toBe("");
    expect(caller?.token?.token).toMatch(/^eyJ/);
    expect(caller?.token?.expires.seconds).toBeGreaterThan(kit.clock.now() / 1000);
  });

  test("the caller receives the identity of the server", async () => {
    const { networkService } = await remoteTo({ networkService: echo });
    const holder: { current?: Peer } = {};
    await networkService.request(ctx.with(serverPeer, holder), request);
    expect(holder.current).toMatchObject({ local: true });
  });

  test("an error keeps its code, its message and those of its causes", async () => {
    const { networkService } = await remoteTo({
      networkService: {
        ...echo,
        request: async () => {
          throw new NsmError(Code.ResourceExhausted, "every pool refused", {
            cause: new NsmError(Code.Internal, "no address left in 10.0.0.0/30"),
          });
        },
      },
    });
    const error = await failure(networkService.request(ctx, request));
    expect(error).toBeInstanceOf(NsmError);
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(explain(error)).toContain("every pool refused: no address left in 10.0.0.0/30");
    expect(error.message).toMatch(/^NetworkService\/Request at .+ failed$/);
  });

  test("no token leaves in an error", async () => {
    const { networkService } = await remoteTo({
      networkService: {
        ...echo,
        request: async () => {
          throw new NsmError(
            Code.PermissionDenied,
            "token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln is not ours",
          );
        },
      },
    });
    const error = await failure(networkService.request(ctx, request));
    expect(explain(error)).toContain("token <token> is not ours");
  });

  test("an unexpected exception is INTERNAL and one line in the server's log", async () => {
    const lines: string[] = [];
    const note = (_fields: object, message: string): void => void lines.push(message);
    const { networkService } = await remoteTo(
      {
        networkService: {
          ...echo,
          request: async () => {
            throw new TypeError("undefined is not a function");
          },
        },
      },
      { debug() {}, info() {}, warn: note, error: note },
    );
    const error = await failure(networkService.request(ctx, request));
    expect(error.code).toBe(Code.Internal);
    expect(lines).toHaveLength(1);
  });

  test("an error of a service that also throws outside its promise has no effect", async () => {
    const { monitor, networkService } = await remoteTo({
      networkService: echo,
      monitor: {
        monitorConnections: () => {
          throw new NsmError(Code.PermissionDenied, "not yours");
        },
      },
    });
    const error = await failure(
      firstValueFrom(monitor.monitorConnections(ctx, MonitorScopeSelector.create())),
    );
    expect(error.code).toBe(Code.PermissionDenied);
    await expect(networkService.request(ctx, request)).resolves.toBeDefined();
  });

  test("a cancel reaches the server, and the caller does not wait for it", async () => {
    const started = deferred<AbortSignal>();
    const { networkService } = await remoteTo({
      networkService: { ...echo, request: hanging(started.resolve) },
    });
    const controller = new AbortController();
    const call = failure(ctx.withSignal(controller.signal, (c) => networkService.request(c, request)));
    const server = await started.promise;
    controller.abort(new NsmError(Code.Cancelled, "not wanted any more"));
    expect((await call).code).toBe(Code.Cancelled);
    await aborted(server);
    expect(codeOf(server.reason)).toBe(Code.Cancelled);
  });

  test("a call that was canceled before it began fails and reaches no server", async () => {
    let calls = 0;
    const { networkService } = await remoteTo({
      networkService: {
        ...echo,
        request: async (_c, { connection }) => {
          calls++;
          return connection!;
        },
      },
    });
    const signal = AbortSignal.abort(new NsmError(Code.Cancelled, "too late"));
    const dead = Context.background({ clock: kit.clock, signal });
    expect((await failure(networkService.request(dead, request))).code).toBe(Code.Cancelled);
    await networkService.request(ctx, request);
    expect(calls).toBe(1);
  });

  test("the deadline goes along, and ends the call on both sides", async () => {
    const started = deferred<AbortSignal>();
    let remaining: number | undefined;
    const { networkService } = await remoteTo({
      networkService: {
        ...echo,
        request: (c) => {
          remaining = c.remainingMs;
          return hanging(started.resolve)(c);
        },
      },
    });
    const call = failure(ctx.withTimeout(300, (c) => networkService.request(c, request)));
    const server = await started.promise;
    await kit.pass(301);
    expect((await call).code).toBe(Code.DeadlineExceeded);
    await aborted(server);
    // The server counts from when the call arrived, so the caller's hanging up may come first.
    expect([Code.DeadlineExceeded, Code.Cancelled]).toContain(codeOf(server.reason));
    expect(remaining).toBeGreaterThan(0);
    expect(remaining).toBeLessThanOrEqual(300);
  });

  test("a call without deadline has none at the server", async () => {
    let deadline: number | undefined = 0;
    const { networkService } = await remoteTo({
      networkService: {
        ...echo,
        request: async (c, { connection }) => {
          deadline = c.deadline;
          return connection!;
        },
      },
    });
    await networkService.request(ctx, request);
    expect(deadline).toBeUndefined();
  });

  test("calling an address without a listener is UNAVAILABLE and names the address", async () => {
    const error = await failure(kit.remotes.to(kit.nowhere).networkService.request(ctx, request));
    expect(error.code).toBe(Code.Unavailable);
    expect(explain(error)).toContain(kit.nowhere);
  });

  test("a service that is not served is UNIMPLEMENTED", async () => {
    const { endpoints } = await remoteTo({ networkService: echo });
    expect((await failure(endpoints.register(ctx, nse))).code).toBe(Code.Unimplemented);
    expect((await failure(lastValueFrom(endpoints.find(ctx, allEndpoints)))).code).toBe(Code.Unimplemented);
  });

  test("one address has one remote, however it is written", async () => {
    const { url } = await kit.listen({ networkService: echo });
    expect(kit.remotes.to(url)).toBe(kit.remotes.to(url));
    expect(kit.remotes.to("unix:///run/x.sock")).toBe(kit.remotes.to("unix:/run/x.sock"));
  });

  test.each([
    ["10.0.0.1:5002", "tcp://10.0.0.1:5002"],
    ["tcp://10.0.0.1", "tcp://host:port"],
    ["tcp://host:0", "tcp://host:port"],
    ["http://10.0.0.1:80", "unix:///path"],
    ["unix:", "unix:///path"],
    [`unix:///${"x".repeat(108)}`, "107 bytes"],
    ["", "name:port"],
  ])("the address %j is refused, naming it and what is allowed", (url, allowed) => {
    const refused = (): unknown => kit.remotes.to(url);
    expect(refused).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
    expect(refused).toThrow(JSON.stringify(url));
    expect(refused).toThrow(allowed);
  });
}
