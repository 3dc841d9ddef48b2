/** What vite/assembly.ts makes of AssemblyScript: a WebAssembly module. */
declare module '*?assembly' {
  const code: Uint8Array<ArrayBuffer>;
  export default code;
}
