/** Two tabs, as the ARIA practices have them: one is in the tab order, arrow keys go between them. */

import { at } from './dom.ts';

type Tab = 'camera' | 'photographs';

const TABS: readonly Tab[] = ['camera', 'photographs'];

/** Make the tabs work. `changed` is told after each change. */
export function tabs(changed: (tab: Tab) => void): { show(tab: Tab): void } {
  const show = (tab: Tab): void => {
    for (const each of TABS) {
      const button = at(`tab-${each}`);
      button.setAttribute('aria-selected', String(each === tab));
      button.tabIndex = each === tab ? 0 : -1;
      at(each).hidden = each !== tab;
    }
    changed(tab);
  };
  TABS.forEach((tab, place) => {
    const button = at(`tab-${tab}`);
    button.addEventListener('click', () => show(tab));
    button.addEventListener('keydown', (event) => {
      const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: TABS.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = TABS[(to + TABS.length) % TABS.length]!;
      show(next);
      at(`tab-${next}`).focus();
    });
  });
  return { show };
}
