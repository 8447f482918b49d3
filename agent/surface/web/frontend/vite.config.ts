import { defineConfig } from "vite";

// Relative addresses throughout: ingress serves us under a prefix that changes.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // a data: address would need another content policy
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
