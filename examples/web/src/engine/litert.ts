/** The one door to LiteRT.js: a model opened once on one backend, its input buffer reused. */

import { type CompiledModel, getGlobalLiteRt, loadAndCompile, loadLiteRt, Tensor } from '@litertjs/core';

import type { Preprocessing } from '../core/card.ts';
import { BINS, fromOutput } from '../core/distribution.ts';
import { ModelRejected } from '../core/errors.ts';
import { fillInput, inputTable } from '../core/scaling.ts';
import type { Backend } from './protocol.ts';

declare global {
  /** Read by LiteRT's loader: how Emscripten finds its own files. */
  var Module:
    { locateFile(file: string): string; mainScriptUrlOrBlob: string; printErr(text: string): void } | undefined;
}

const THREADED = 'litert_wasm_threaded_internal.js';

/** A model that can be run. Pixels in, ten proportions out. */
export interface Runner {
  /** Length of the last bare run, milliseconds. */
  readonly runMs: number;
  /**
   * Score one input.
   *
   * @param pixels height*width*3 bytes in the card's channel order.
   * @throws ModelRejected what comes out is no distribution.
   */
  run(pixels: Uint8Array): Promise<Float64Array>;
}

/**
 * Open a model on a backend. A worker does this once: LiteRT.js loads one WebAssembly module per global scope.
 *
 * @param wasm address of the folder that holds LiteRT's WebAssembly files, ending in "/".
 * @throws ModelRejected it is not one picture in and ten proportions out.
 * @throws Error the backend cannot open it, with its reason.
 */
export async function openLiteRt(
  model: Uint8Array,
  backend: Backend,
  how: Preprocessing,
  wasm: string,
): Promise<Runner> {
  // Emscripten takes the address of the worker's own script for its own, and would start its threads from that.
  // And it writes what it has to tell, good news too, as errors to the console.
  const printErr = (text: string): void => console.debug(text);
  globalThis.Module = { locateFile: (file) => wasm + file, mainScriptUrlOrBlob: wasm + THREADED, printErr };
  await loadLiteRt(wasm, { threads: backend === 'threads' });
  if (backend === 'webgpu' && !getGlobalLiteRt().getWebGpuDevice()) throw new Error('no WebGPU device');
  const compiled = await compile(model, backend);
  // LiteRT.js falls back to WebAssembly by itself, or leaves a graph in parts, which only its JSPI build can run.
  if (backend === 'webgpu' && (compiled.options.accelerator !== 'webgpu' || !compiled.isFullyAccelerated)) {
    throw new Error('some operations of this model do not run on WebGPU in this browser');
  }
  return new OpenModel(compiled, how);
}

async function compile(model: Uint8Array, backend: Backend): Promise<CompiledModel> {
  try {
    if (backend !== 'webgpu') return await loadAndCompile(model, { accelerator: 'wasm' });
    // In half precision, the default where a GPU has it, a mean is off by more than a float16 model's card allows.
    return await loadAndCompile(model, { accelerator: 'webgpu', gpuOptions: { precision: 'fp32' } });
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) {
      throw new Error(
        'LiteRT.js gave up on it: the file is damaged, or has operations that this version does not know',
      );
    }
    const type = /type (INT8|INT16|FLOAT16|INT64) is not supported/.exec(String(error))?.[1];
    if (type === undefined) throw error;
    throw new ModelRejected(
      `the model's input or output is ${type.toLowerCase()}, which LiteRT.js does not take: ` +
        'convert it with --recipe int8-mixed or --recipe float16, they take uint8 and give float32',
    );
  }
}

class OpenModel implements Runner {
  runMs = 0;
  readonly #compiled: CompiledModel;
  readonly #input: Tensor;
  readonly #how: Preprocessing;
  /** The tensor's values; null where they are the pixels as they are. */
  readonly #scaled: Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer> | null;
  readonly #table: ReturnType<typeof inputTable>;

  constructor(compiled: CompiledModel, how: Preprocessing) {
    const inputs = compiled.getInputDetails();
    const outputs = compiled.getOutputDetails();
    const [input, output] = [inputs[0], outputs[0]];
    if (input === undefined || output === undefined || inputs.length !== 1 || outputs.length !== 1) {
      throw new ModelRejected(
        `a scorer has 1 input and 1 output, this model has ${inputs.length} and ${outputs.length}`,
      );
    }
    const planes = how.layout === 'NCHW';
    const wanted = planes ? [1, 3, how.height, how.width] : [1, how.height, how.width, 3];
    if (String([...input.shape]) !== String(wanted) || String([...output.shape]) !== String([1, BINS])) {
      throw new ModelRejected(
        `a scorer maps (${wanted.join(', ')}) to (1, ${BINS}) (its card says ${how.width}x${how.height}), ` +
          `this model maps (${input.shape.join(', ')}) to (${output.shape.join(', ')})`,
      );
    }
    if (output.dtype !== 'float32') {
      throw new ModelRejected(
        `the model's output is ${output.dtype}, and LiteRT.js does not tell its scale: a float32 output is needed`,
      );
    }
    if (input.dtype === 'int32') throw new ModelRejected("the model's input is int32; possible: uint8, float32");
    this.#table = inputTable(input.dtype, how);
    const values = how.height * how.width * 3;
    const asItIs = this.#table === null && !planes;
    this.#scaled = asItIs ? null : input.dtype === 'float32' ? new Float32Array(values) : new Uint8Array(values);
    this.#how = how;
    this.#compiled = compiled;
    this.#input = Tensor.fromTypedArray(this.#scaled ?? new Uint8Array(values), wanted);
  }

  async run(pixels: Uint8Array): Promise<Float64Array> {
    this.#write(pixels);
    const began = performance.now();
    const outputs = await this.#compiled.run(this.#input);
    try {
      const raw = await outputs[0]!.data();
      this.runMs = performance.now() - began;
      return fromOutput(raw as Float32Array);
    } finally {
      for (const output of outputs) output.delete();
    }
  }

  /** Into the module's own memory: a new tensor for each frame would be allocated and freed thirty times a second. */
  #write(pixels: Uint8Array): void {
    const { liteRtWasm } = getGlobalLiteRt();
    const buffer = this.#input.liteRtTensorBuffer;
    const bytes = this.#bytes(pixels);
    const at = buffer.lock(liteRtWasm.LiteRtTensorBufferLockMode.WRITE);
    try {
      liteRtWasm.HEAPU8.set(bytes, at); // asked for now: the module's memory may have grown since
    } finally {
      buffer.unlock();
    }
  }

  #bytes(pixels: Uint8Array): Uint8Array {
    if (this.#scaled === null) return pixels;
    fillInput(pixels, this.#table, this.#how, this.#scaled);
    return new Uint8Array(this.#scaled.buffer);
  }
}
