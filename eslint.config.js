import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/**", "docs/**", "src/api/generated/**", "coverage/**", "test/interop/go/**"] },
  ...tseslint.configs.recommended,
  {
    files: ["**/*.ts"],
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      // A forgotten `await next…` is the mistake that hurts most in a chain.
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      // Messages and their helpers share a name, as the generated code does.
      "@typescript-eslint/no-redeclare": "off",
    },
  },
);
