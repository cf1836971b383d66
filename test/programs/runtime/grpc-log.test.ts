import { logVerbosity, Metadata, setLogVerbosity } from "@grpc/grpc-js";
import { afterEach, expect, test, vi } from "vitest";
import { silenceGrpcLog } from "../../../src/programs/runtime/grpc-log.js";

afterEach(() => {
  vi.restoreAllMocks();
  setLogVerbosity(logVerbosity.ERROR);
});

test("a peer's token that cannot be read is not written to stderr, unless grpc-js is to log", () => {
  const written = vi.spyOn(console, "error").mockImplementation(() => {});
  const headers = { "nsm-client-token": "secret\u00e9" };
  silenceGrpcLog({});
  Metadata.fromHttp2Headers(headers);
  expect(written).not.toHaveBeenCalled();
  setLogVerbosity(logVerbosity.ERROR);
  silenceGrpcLog({ GRPC_VERBOSITY: "ERROR" });
  Metadata.fromHttp2Headers(headers);
  expect(written).toHaveBeenCalledOnce();
});
