"""Data sets for `fit` against the clips of the training loop."""

import textwrap

import keras
import numpy as np
import pytest

import stfnet
from preprocessing.errors import UserError
from stfnet.clips import input_pipeline, plans
from stfnet.clips.keras_dataset import ClipDataset, datasets
from stfnet.config import ClipConfig, TrainingConfig

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


def _of_the_loop(record_set, plan, size):
    for batch in input_pipeline.clip_dataset(record_set, plan, CLIP, size):
        inputs = input_pipeline.network_inputs(batch)
        yield {name: x.numpy() for name, x in inputs.items()}, batch["label"].numpy()


@pytest.mark.parametrize("augmentation", ["none", "flip_crop"])
def test_the_clips_of_an_epoch_are_those_of_the_training_loop(tiny_records, augmentation):
    positions = np.arange(len(tiny_records.videos))
    training = TrainingConfig(batch_size=4, seed=3, augmentation=augmentation)
    dataset = ClipDataset(tiny_records, positions, CLIP, training, shuffled=True)
    for epoch in range(2):
        plan = plans.plan_training(tiny_records, positions, CLIP, training, 0, epoch)
        assert len(dataset) == len(plan) // 4
        for k, (inputs, labels) in enumerate(_of_the_loop(tiny_records, plan, 4)):
            own, own_labels, weights = dataset[k]
            np.testing.assert_array_equal(own_labels, labels)
            assert weights.tolist() == [1] * 4
            for name, value in inputs.items():
                assert own[name].dtype == np.uint8
                difference = np.abs(own[name].astype(int) - value)
                assert difference.max() <= (0 if augmentation == "none" else 1)
        dataset.on_epoch_end()


def test_validation_reads_the_test_clip_of_each_video_once(tiny_records):
    positions = np.arange(5)
    dataset = ClipDataset(tiny_records, positions, CLIP, TrainingConfig(batch_size=2), False)
    assert [len(dataset[k][1]) for k in range(len(dataset))] == [2, 2, 1]
    plan = plans.plan_evaluation(tiny_records, positions, CLIP, 1)
    expected = [inputs["rgb"][0] for inputs, _ in _of_the_loop(tiny_records, plan, 1)]
    shown = np.concatenate([dataset[k][0]["rgb"] for k in range(len(dataset))])
    np.testing.assert_array_equal(shown, expected)
    dataset.on_epoch_end()
    np.testing.assert_array_equal(dataset[0][0]["rgb"], shown[:2])


def test_the_data_sets_tell_a_network_what_it_learns_from(tiny_records):
    train, _, test = datasets(tiny_records.folder, CLIP, batch_size=2, tau_range=(1, 3))
    assert train.learned == test.learned
    assert train.learned.classes == tuple(tiny_records.classes)
    assert train.learned.tau_range == (1, 3)
    with pytest.raises(UserError, match="3 class names, and the network has"):
        stfnet.build_stfnet(stfnet.ModelConfig(4, CLIP, width_divisor=16), train.learned)


def test_one_stream_gets_one_input(tiny_records):
    train, _, _ = datasets(tiny_records.folder, CLIP, batch_size=2, streams="flow")
    assert set(train[0][0]) == {"flow"} and train[0][0]["flow"].shape == (2, 3, 32, 32, 8)


def test_records_of_other_clips_are_refused(tiny_records):
    with pytest.raises(UserError, match="image_size=32"):
        datasets(tiny_records.folder, ClipConfig(num_frames=3, image_size=64))


def test_fit_learns_a_few_clips_and_evaluate_reads_them(tiny_records, tmp_path):
    training = TrainingConfig(batch_size=4, tau_range=(1, 1))
    few = np.arange(4)
    train = ClipDataset(tiny_records, few, CLIP, training, shuffled=True)
    test = ClipDataset(tiny_records, few, CLIP, training, shuffled=False)
    keras.utils.set_random_seed(0)
    sizes = {"width_divisor": 16, "fc6_units": 8, "lstm_units": 4, "normalize": "all"}
    model = stfnet.build_stfnet(
        stfnet.ModelConfig(3, CLIP, fc6_dropout=0.0, lstm_dropout=0.0, **sizes)
    )
    model.compile(
        keras.optimizers.Adam(1e-2),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # XLA would take a minute for a few steps
    )
    saved = keras.callbacks.ModelCheckpoint(tmp_path / "last.keras")
    history = model.fit(train, validation_data=test, epochs=15, verbose=0, callbacks=[saved])
    assert history.history["loss"][-1] < 0.75 * history.history["loss"][0]
    assert len(history.history["val_accuracy"]) == 15
    figures = model.evaluate(test, verbose=0, return_dict=True)
    again = keras.saving.load_model(tmp_path / "last.keras")
    assert again.evaluate(test, verbose=0, return_dict=True) == pytest.approx(figures)


@pytest.mark.slow
def test_processes_read_the_same_clips(run_python, tiny_records):
    positions = np.arange(8)
    training = TrainingConfig(batch_size=4)
    alone = ClipDataset(tiny_records, positions, CLIP, training, True)
    code = f"""
        import numpy as np
        from preprocessing import records
        from stfnet.clips.keras_dataset import ClipDataset
        from stfnet.config import ClipConfig, TrainingConfig
        from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

        if __name__ == "__main__":
            record_set = records.load_record_set({str(tiny_records.folder)!r})
            dataset = ClipDataset(
                record_set, np.arange(8), ClipConfig(3, 4, 32), TrainingConfig(batch_size=4), True,
                workers=2, use_multiprocessing=True,
            )
            adapter = PyDatasetAdapter(dataset, shuffle=False)
            adapter.on_epoch_begin()
            batches = [inputs["rgb"].sum() for inputs, *_ in adapter.get_numpy_iterator()]
            adapter.on_epoch_end()
            print(*batches)
    """
    path = tiny_records.folder.parent / "read_in_processes.py"
    path.write_text(textwrap.dedent(code))
    done = run_python(path)
    assert done.returncode == 0, done.stderr
    sums = [int(alone[k][0]["rgb"].sum()) for k in range(2)]
    assert [int(word) for word in done.stdout.split()] == sums
