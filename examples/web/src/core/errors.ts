/** A model that cannot be used here. Its message is one line: what was given, what is possible, what to do. */
export class ModelRejected extends Error {
  override readonly name = 'ModelRejected';
}

/** A picture or camera buffer that cannot be scored. Its message is one line. */
export class PictureRejected extends Error {
  override readonly name = 'PictureRejected';
}
