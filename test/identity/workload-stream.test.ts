import { join } from "node:path";
import { Server, ServerCredentials, status, type Metadata } from "@grpc/grpc-js";
import { filter, firstValueFrom, Subject } from "rxjs";
import { beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { SpiffeWorkloadAPIService, type X509SVIDResponse } from "../../src/api/generated/workload.js";
import { explain } from "../../src/core/index.js";
import { authority, workloadApiSource, type IssuedSvid, type X509Source } from "../../src/identity/index.js";
import { openSockets, socketsDownTo } from "../outbound/grpc-kit.js";
import { temporaryDirectory } from "./support.js";
import { responseOf, svidOf } from "./workload-kit.js";

interface Stream {
  readonly metadata: Metadata;
  write(response: X509SVIDResponse | Buffer): void;
  end(): void;
}

let nsmgr: IssuedSvid;
let problems: Subject<string>;
let streams: Subject<Stream>;

beforeAll(async () => {
  nsmgr = await (await authority({ trustDomain: "example.org" })).issue({ path: "/nsmgr" });
});

beforeEach(() => {
  problems = new Subject();
  streams = new Subject();
});

/** An agent in this process. Returns its address, and what ends it. */
async function agent(): Promise<{ address: string; stop(): void }> {
  const server = new Server();
  const { fetchX509Svid } = SpiffeWorkloadAPIService;
  const bytesOf = (value: X509SVIDResponse | Buffer): Buffer =>
    Buffer.isBuffer(value) ? value : fetchX509Svid.responseSerialize(value);
  const raw = { ...fetchX509Svid, responseSerialize: (value: X509SVIDResponse | Buffer) => bytesOf(value) };
  server.addService(
    { fetchX509Svid: raw },
    { fetchX509Svid: (call: unknown) => streams.next(call as Stream) },
  );
  const address = `unix://${join(await temporaryDirectory(), "agent.sock")}`;
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  onTestFinished(() => server.forceShutdown());
  return { address, stop: () => server.forceShutdown() };
}

async function follow(socket: string): Promise<X509Source> {
  const source = await workloadApiSource({ socket, onProblem: (problem) => problems.next(explain(problem)) });
  onTestFinished(() => source.close());
  return source;
}

test("a stream carries the security header, and its connection is gone after close", async () => {
  const before = openSockets();
  const { address, stop } = await agent();
  const opened = firstValueFrom(streams);
  const following = follow(address);
  const stream = await opened;
  expect(stream.metadata.get("workload.spiffe.io")).toEqual(["true"]);
  stream.write(responseOf([svidOf(nsmgr)]));
  const source = await following;
  expect(`${source.current().svid.id}`).toBe("spiffe://example.org/nsmgr");
  source.close();
  stop();
  await socketsDownTo(before);
});

test("a stream that the agent ends, and a message that is none, lead to another stream", async () => {
  const { address } = await agent();
  const opened = firstValueFrom(streams);
  const following = follow(address);
  const first = await opened;
  first.write(responseOf([svidOf(nsmgr)]));
  const before = (await following).current();

  let problem = firstValueFrom(problems);
  let next = firstValueFrom(streams);
  first.end();
  expect(await problem).toBe(
    `the connection to the Workload API at ${address} failed: the agent ended the stream`,
  );
  const second = await next;
  problem = firstValueFrom(problems);
  next = firstValueFrom(streams);
  second.write(Buffer.from([0xff, 0xff, 0xff]));
  expect(await problem).toContain(`the connection to the Workload API at ${address} failed: `);
  (await next).write(responseOf([svidOf(nsmgr)]));
  expect((await following).current()).toBe(before);
});

test("an address without a server is reported with the system's reason", async () => {
  const before = openSockets();
  const address = `unix://${join(await temporaryDirectory(), "none.sock")}`;
  const reported = firstValueFrom(problems.pipe(filter((text) => text.includes("ENOENT"))));
  const life = new AbortController();
  const starting = workloadApiSource({
    socket: address,
    signal: life.signal,
    onProblem: (problem) => problems.next(explain(problem)),
  });
  expect(await reported).toContain(address);
  life.abort();
  await expect(starting).rejects.toBe(life.signal.reason);
  await socketsDownTo(before);
});

test("a server without a Workload API ends the start", async () => {
  const server = new Server();
  onTestFinished(() => server.forceShutdown());
  const address = `unix://${join(await temporaryDirectory(), "other.sock")}`;
  await new Promise((resolve) =>
    server.bindAsync(address, ServerCredentials.createInsecure(), () => resolve(undefined)),
  );
  await expect(workloadApiSource({ socket: address })).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
});
