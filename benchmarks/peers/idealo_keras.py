"""What idealo's predict does, with Keras alone: load_img with nearest, model.predict in batches of 32."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from protocol import Model, main

TITLE = "Keras, idealo's way"
ABOUT = "idealo's predict: load_img with nearest, model.predict in batches of 32"
REQUIREMENTS = ("tensorflow>=2.18,<3", "keras>=3.6,<4", "h5py>=3.11,<4", "pillow>=10.4")
VARIANTS = {"float32": "the checkpoint as it is"}
BATCH = 32


def prepare(variant: str, weights: str, calibration: str, folder: str) -> None:
    shutil.copyfile(weights, os.path.join(folder, "weights.hdf5"))


def load(paths: Sequence[str]) -> np.ndarray:
    pictures = [np.asarray(keras.utils.load_img(p, target_size=(224, 224), interpolation="nearest")) for p in paths]
    return keras.applications.mobilenet.preprocess_input(np.stack(pictures).astype("float32"))


class Batches(keras.utils.PyDataset):
    """Batches that several workers load, as idealo's predict_generator had them."""

    def __init__(self, paths: Sequence[str], workers: int) -> None:
        super().__init__(workers=workers)
        self._paths = paths

    def __len__(self) -> int:
        return -(-len(self._paths) // BATCH)

    def __getitem__(self, number: int) -> tuple[np.ndarray]:
        return (load(self._paths[number * BATCH : (number + 1) * BATCH]),)


class Predict(Model):
    def __init__(self, folder: str, workers: int) -> None:
        base = keras.applications.MobileNet((224, 224, 3), include_top=False, pooling="avg", weights=None)
        x = keras.layers.Dropout(0.75)(base.output)
        self._model = keras.Model(base.input, keras.layers.Dense(10, activation="softmax")(x))
        self._model.load_weights(os.path.join(folder, "weights.hdf5"))
        self._workers = workers
        self._values = np.zeros((1, 224, 224, 3), np.float32)

    def score_many(self, paths: Sequence[str]) -> Iterator[np.ndarray]:
        if self._workers > 1:
            yield from self._model.predict(Batches(paths, self._workers), verbose=0)
            return
        for start in range(0, len(paths), BATCH):
            yield from self._model.predict(load(paths[start : start + BATCH]), batch_size=BATCH, verbose=0)

    def invoke(self) -> None:
        self._model.predict_on_batch(self._values)


def open_model(variant: str, folder: str, threads: int | None) -> Model:
    if threads:
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    return Predict(folder, 1)


def open_pool(variant: str, folder: str, workers: int) -> Model:
    return Predict(folder, workers)


if __name__ == "__main__":
    main(prepare, open_model, open_pool)
