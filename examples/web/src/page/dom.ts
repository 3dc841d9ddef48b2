/** The page's elements: found by id, made in one call. */

/** The element with an id, of the class that is expected. */
export function at<T extends Element = HTMLElement>(id: string, kind?: new () => T): T {
  const found = document.getElementById(id);
  if (found === null || (kind !== undefined && !(found instanceof kind)))
    throw new Error(`the page has no such #${id}`);
  return found as unknown as T;
}

/** A new element with its properties and children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  kind: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}

/** Set a text only when it differs: a screen reader announces every change of a live region. */
export function say(where: Element, text: string): void {
  if (where.textContent !== text) where.textContent = text;
}
