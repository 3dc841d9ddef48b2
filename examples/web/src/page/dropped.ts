/** Files out of a drop, folders opened, each with its path. */

/** A file and the name its record gets: its path in the folder, or its own name. */
export interface Named {
  readonly file: File;
  readonly name: string;
}

/** Files that a person picked. */
export function picked(files: FileList | null): Named[] {
  return [...(files ?? [])].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
}

/** Everything in a drop. To be called within the event: a browser empties the list after it. */
export async function dropped(transfer: DataTransfer): Promise<Named[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const files = picked(transfer.files);
  if (!entries.some((entry) => entry?.isDirectory)) return files;
  const found: Named[] = [];
  for (const entry of entries) if (entry !== null) await walk(entry, '', found);
  return found;
}

async function walk(entry: FileSystemEntry, folder: string, found: Named[]): Promise<void> {
  const name = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ file, name });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A hundred at a time, until there are none.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const each of some) await walk(each, `${name}/`, found);
  }
}

const PICTURES = /\.(jpe?g|jfif|png|webp|gif|bmp|avif|heic|heif)$/i;
const MODEL = /\.tflite$/i;

/** What is worth trying: a folder holds more than photographs. One file alone is always tried, unless it is a model. */
export function photographsOf(files: readonly Named[]): Named[] {
  if (files.length === 1) return files.filter(({ name }) => !MODEL.test(name));
  return files.filter(({ file, name }) => file.type.startsWith('image/') || PICTURES.test(name));
}

/** Model files. */
export function modelsOf(files: readonly Named[]): Named[] {
  return files.filter(({ name }) => MODEL.test(name));
}

/** The model that is to be used: the only one, with no photograph beside it. */
export function modelOf(files: readonly Named[]): File | null {
  const [model, ...more] = modelsOf(files);
  return model === undefined || more.length > 0 || photographsOf(files).length > 0 ? null : model.file;
}
