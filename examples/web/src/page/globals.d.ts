/** Version of LiteRT.js: its WebAssembly lies in a folder of this name. Set by the build. */
declare const __LITERT_VERSION__: string;
