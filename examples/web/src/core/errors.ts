/** A model that cannot be used here. Its message is one line: what was given, what is possible, what to do. */
export class ModelRejected extends Error {
  override readonly name = 'ModelRejected';
}

/** A picture or camera buffer that cannot be scored. Its message is one line. */
export class PictureRejected extends Error {
  override readonly name = 'PictureRejected';
}

/** A value out of a card as a message shows it. */
export function shown(value: unknown): string {
  return (typeof value === 'object' ? 'an object' : JSON.stringify(value) ?? 'nothing').slice(0, 60);
}

/** What an error says, on one line. */
export function reason(error: unknown): string {
  const told = error instanceof Error ? error.message || error.name : String(error);
  return told.replace(/\s+/g, ' ').trim();
}
