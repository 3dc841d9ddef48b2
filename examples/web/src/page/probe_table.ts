/** One row for each golden probe. */

import type { ProbeResult } from '../core/check.ts';
import { element } from './dom.ts';

/** Rows of a table: name, whether its pixels are the same, the mean here, the mean where the model was made. */
export function probeRows(probes: readonly ProbeResult[]): HTMLTableRowElement[] {
  return probes.map((probe) => {
    const row = element(
      'tr',
      { className: probe.problem === null ? 'passed' : 'wrong' },
      element(
        'th',
        { scope: 'row' },
        probe.name,
        ...(probe.problem === null ? [] : [element('small', {}, probe.problem)]),
      ),
      element('td', {}, probe.pixelsSame === null ? '–' : probe.pixelsSame ? 'same' : 'other'),
      element('td', {}, Number.isNaN(probe.mean) ? '–' : probe.mean.toFixed(3)),
      element('td', {}, probe.ownMean.toFixed(3)),
    );
    Object.assign(row.dataset, { name: probe.name, mean: String(probe.mean), problem: probe.problem ?? '' });
    return row;
  });
}
