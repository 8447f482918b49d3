import { configs as lit } from "eslint-plugin-lit";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["node_modules", "src/api.ts", "eslint.config.js"] },
  ...tseslint.configs.strictTypeChecked,
  lit["flat/recommended"],
  {
    languageOptions: {
      parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // Numbers are what the page is about.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // What a device says may never become markup; there is no other way to it in our code.
      "no-restricted-imports": [
        "error",
        { paths: ["lit/directives/unsafe-html.js", "lit/directives/unsafe-svg.js"] },
      ],
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Render with Lit: it escapes." },
        { property: "outerHTML", message: "Render with Lit: it escapes." },
      ],
      // Lit's own way to write a style is an attribute at first, which the content policy forbids.
      "no-restricted-syntax": [
        "error",
        {
          selector: "ImportDeclaration[source.value='lit/directives/style-map.js']",
          message: "Bind the property instead: .style=${\"width: 10%\"}.",
        },
      ],
    },
  },
);
