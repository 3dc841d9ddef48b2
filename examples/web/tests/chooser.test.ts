import { describe, expect, it, vi } from 'vitest';

import type { ProbeResult } from '../src/core/check.ts';
import {
  type Capabilities,
  choose,
  faster,
  NoBackend,
  type Opened,
  plan,
  type Refusal,
} from '../src/engine/chooser.ts';
import type { Backend } from '../src/engine/protocol.ts';

const CAN: Capabilities = { simd: true, relaxedSimd: true, isolated: true, cores: 8, webgpu: true };
const LIMIT = 1000;

function probe(problem: string | null): ProbeResult {
  return {
    name: 'cat',
    pixelsSame: true,
    inputSame: true,
    mean: 5,
    ownMean: 5,
    referenceMean: 5,
    ownGap: 0,
    referenceGap: 0,
    largestBin: 0,
    problem,
  };
}

interface Fake extends Opened {
  readonly close: ReturnType<typeof vi.fn<() => void>>;
}

function backend(runMs = 20, problem: string | null = null): Fake {
  return { probes: [probe(null), probe(problem)], runMs, close: vi.fn<() => void>() };
}

const never = (): Promise<Fake> => new Promise(() => undefined);

describe('plan', () => {
  it('begins with threads where memory may be shared, and tries WebGPU beside it', () => {
    expect(plan(CAN, 'auto')).toEqual({ first: ['threads', 'wasm'], later: ['webgpu'] });
  });

  it.each([{ isolated: false }, { relaxedSimd: false }, { cores: 1 }])('begins with one thread when %o', (missing) => {
    expect(plan({ ...CAN, ...missing }, 'auto').first).toEqual(['wasm']);
  });

  it('has nothing to try later without WebGPU', () => {
    expect(plan({ ...CAN, webgpu: false }, 'auto').later).toEqual([]);
  });

  it.each(['webgpu', 'threads', 'wasm'] as const)('tries nothing but %s when that is set', (setting) => {
    expect(plan(CAN, setting)).toEqual({ first: [setting], later: [] });
  });
});

describe('choose', () => {
  it('takes the first that answers right and opens no other', async () => {
    const open = vi.fn(async () => backend());
    const { backend: chosen } = await choose(['threads', 'wasm'], open, LIMIT, () => undefined);
    expect(chosen).toBe('threads');
    expect(open).toHaveBeenCalledTimes(1);
  });

  it('refuses one that answers a probe wrong, closes it, and goes on', async () => {
    const wrong = backend(20, 'scores otherwise than where it was made');
    const refused: Refusal[] = [];
    const open = async (which: Backend): Promise<Fake> => (which === 'threads' ? wrong : backend());
    const { backend: chosen } = await choose(['threads', 'wasm'], open, LIMIT, (it) => refused.push(it));
    expect(chosen).toBe('wasm');
    expect(wrong.close).toHaveBeenCalledOnce();
    expect(refused).toHaveLength(1);
    expect(refused[0]?.why).toBe(
      '1 of 2 golden probes fail, the first is cat: scores otherwise than where it was made',
    );
    expect(refused[0]?.probes).toHaveLength(2);
  });

  it('refuses one that answered no probe at all', async () => {
    const silent: Fake = { ...backend(), probes: [] };
    await expect(
      choose(
        ['wasm'],
        async () => silent,
        LIMIT,
        () => undefined,
      ),
    ).rejects.toThrow('no golden probe');
    expect(silent.close).toHaveBeenCalledOnce();
  });

  it('goes on after an exception, with its message as the reason', async () => {
    const refused: Refusal[] = [];
    const open = async (which: Backend): Promise<Fake> => {
      if (which === 'threads') throw new Error('memory access out of bounds');
      return backend();
    };
    await choose(['threads', 'wasm'], open, LIMIT, (it) => refused.push(it));
    expect(refused).toEqual([{ backend: 'threads', why: 'memory access out of bounds', probes: [] }]);
  });

  it('goes on after the limit when one hangs, and tells it to stop', async () => {
    vi.useFakeTimers();
    let told: AbortSignal | null = null;
    const refused: Refusal[] = [];
    const open = (which: Backend, signal: AbortSignal): Promise<Fake> => {
      if (which !== 'threads') return Promise.resolve(backend());
      told = signal;
      return never();
    };
    const chosen = choose(['threads', 'wasm'], open, LIMIT, (it) => refused.push(it));
    await vi.advanceTimersByTimeAsync(LIMIT);
    expect((await chosen).backend).toBe('wasm');
    expect(told!.aborted).toBe(true);
    expect(refused[0]?.why).toBe('did not open within 1 s');
    vi.useRealTimers();
  });

  it('closes one that opens after its time is over', async () => {
    vi.useFakeTimers();
    const late = backend();
    const open = (): Promise<Fake> => new Promise((resolve) => setTimeout(() => resolve(late), 2 * LIMIT));
    const chosen = choose(['wasm'], open, LIMIT, () => undefined).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(2 * LIMIT);
    expect(await chosen).toBeInstanceOf(NoBackend);
    expect(late.close).toHaveBeenCalledOnce();
    vi.useRealTimers();
  });

  it('says of each why none works', async () => {
    const open = async (which: Backend): Promise<Fake> => {
      throw new Error(`no ${which} here`);
    };
    const failed = await choose(['threads', 'wasm'], open, LIMIT, () => undefined).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(NoBackend);
    expect((failed as NoBackend).refusals.map(({ why }) => why)).toEqual(['no threads here', 'no wasm here']);
  });

  it('stops when another model is wanted, and tries no further backend', async () => {
    const wanted = new AbortController();
    const open = vi.fn(never);
    const chosen = choose(['threads', 'wasm'], open, LIMIT, () => undefined, wanted.signal);
    wanted.abort();
    await expect(chosen).rejects.toThrow();
    expect(open).toHaveBeenCalledOnce();
  });
});

describe('faster', () => {
  it('takes one that is faster', async () => {
    const quick = backend(5);
    expect(
      await faster(
        20,
        'webgpu',
        async () => quick,
        LIMIT,
        () => undefined,
      ),
    ).toBe(quick);
    expect(quick.close).not.toHaveBeenCalled();
  });

  it.each([20, 30])(
    'keeps what there is when the other takes %d ms against 20, and says both numbers',
    async (runMs) => {
      const slow = backend(runMs);
      const refused: Refusal[] = [];
      expect(
        await faster(
          20,
          'webgpu',
          async () => slow,
          LIMIT,
          (it) => refused.push(it),
        ),
      ).toBeNull();
      expect(slow.close).toHaveBeenCalledOnce();
      expect(refused[0]?.why).toBe(`no faster: ${runMs}.0 ms a run, against 20.0 ms`);
    },
  );

  it('never takes one that is faster and wrong', async () => {
    const wrong = backend(1, 'too far from the float model');
    const refused: Refusal[] = [];
    expect(
      await faster(
        20,
        'webgpu',
        async () => wrong,
        LIMIT,
        (it) => refused.push(it),
      ),
    ).toBeNull();
    expect(wrong.close).toHaveBeenCalledOnce();
    expect(refused[0]?.why).toContain('too far from the float model');
  });

  it('does not take a speed that is no number', async () => {
    expect(
      await faster(
        20,
        'webgpu',
        async () => backend(Number.NaN),
        LIMIT,
        () => undefined,
      ),
    ).toBeNull();
  });
});
