import { defineConfig } from "vitest/config";
import { fileURLToPath } from "node:url";

// Tests and examples import the package by its name; here that is the source itself.
const source = fileURLToPath(new URL("./src", import.meta.url));
const alias = [
  { find: /^nsm-sdk$/, replacement: `${source}/index.ts` },
  { find: /^nsm-sdk\/(.*)$/, replacement: `${source}/$1/index.ts` },
];

// A test that asserts nothing fails.
const expect = { requireAssertions: true };

export default defineConfig({
  test: {
    // By default one core is left idle, which is half of a small machine.
    maxWorkers: "100%",
    // Time limits end what hangs. They are far above what a test takes, for machines that are busy with other work.
    projects: [
      {
        resolve: { alias },
        test: {
          name: "unit",
          expect,
          include: ["test/**/*.test.ts"],
          exclude: ["test/netns/**", "test/interop/**", "test/scenarios/**"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      // These enter network namespaces and start processes: one file at a time.
      {
        resolve: { alias },
        test: {
          name: "netns",
          expect,
          include: ["test/netns/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve: { alias },
        test: {
          name: "interop",
          expect,
          include: ["test/interop/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        resolve: { alias },
        test: {
          name: "scenarios",
          expect,
          include: ["test/scenarios/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
