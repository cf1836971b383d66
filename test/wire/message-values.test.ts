import { expect, test } from "vitest";
import { Connection, NetworkServiceRequest, Path } from "../../src/api/index.js";
import { Code, Context } from "../../src/core/index.js";
import { insecureIdentity } from "../../src/identity/index.js";
import { grpcServer } from "../../src/inbound/index.js";
import { grpcRemotes } from "../../src/outbound/index.js";
import { assertFewValues } from "../../src/wire/index.js";
import { sampleRequest } from "../../src/testing/index.js";

const segment = { name: "", id: "", token: "", expires: undefined, metrics: {} };
const mechanism = { cls: "", type: "", parameters: {} };
const empty = (count: number) => Array.from({ length: count }, () => mechanism);
const check = (message: NetworkServiceRequest): void => {
  const bytes = NetworkServiceRequest.encode(message).finish();
  assertFewValues("/Request", bytes.length, NetworkServiceRequest.decode(bytes));
};

test("a message that is much larger in memory than on the wire is refused", () => {
  const refused = expect.objectContaining({ code: Code.InvalidArgument });
  const request = sampleRequest(0);
  expect(() => check({ ...request, mechanismPreferences: empty(50_000) })).toThrow(refused);
  const path = Path.create({ pathSegments: Array.from({ length: 50_000 }, () => ({ ...segment })) });
  expect(() => check({ ...request, connection: { ...request.connection!, path } })).toThrow(refused);
  const labels = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [String(i), ""]));
  expect(() => check({ ...request, connection: { ...request.connection!, labels } })).toThrow(refused);
  // Fields that this version does not know are kept: their number is one that no field has.
  const unknown = Buffer.alloc(3 * 60_000, Buffer.from([0xf8, 0x7f, 0]));
  expect(() => assertFewValues("/Request", unknown.length, NetworkServiceRequest.decode(unknown))).toThrow(
    refused,
  );
});

test("long messages of few values pass", () => {
  const request = sampleRequest(0);
  const many = { ...request, mechanismPreferences: empty(1_000) };
  const long = { ...request, connection: { ...request.connection!, networkService: "x".repeat(1_000_000) } };
  for (const message of [request, many, long]) expect(() => check(message)).not.toThrow();
});

test("both ends of a call refuse it", async () => {
  const identity = insecureIdentity();
  const large: Connection = Connection.create({
    path: { index: 0, pathSegments: Array.from({ length: 50_000 }, () => ({ ...segment })) },
  });
  let called = 0;
  const server = await grpcServer({
    identity,
    listenOn: ["tcp://127.0.0.1:0"],
    services: {
      networkService: { request: async () => (called++, large), close: async () => void called++ },
    },
  });
  const remotes = grpcRemotes({ identity });
  const { networkService } = remotes.to(server.listenOn[0]!);
  const ctx = Context.background();
  await expect(networkService.request(ctx, sampleRequest(0))).rejects.toThrow();
  expect(called).toBe(1);
  await expect(networkService.close(ctx, large)).rejects.toMatchObject({ code: Code.InvalidArgument });
  expect(called).toBe(1);
  remotes.close();
  await server.close();
});
