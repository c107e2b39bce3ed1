import threading

from preprocessing.flow.service import pair_queue


def test_workers_take_turns_and_their_pairs_keep_their_order():
    pairs = pair_queue.PairQueue()
    pairs.add("a", 0, 5)
    pairs.add("b", 7, 2)
    pairs.add("c", 3, 1)
    batch = pairs.take(4, patience=0)
    assert batch == [("a", 0), ("b", 7), ("c", 3), ("a", 1)]
    pairs.add("c", 4, 1)
    assert pairs.take(9, patience=0) == [("b", 8), ("a", 2), ("c", 4), ("a", 3), ("a", 4)]


def test_the_pairs_of_a_worker_that_is_gone_are_not_solved():
    pairs = pair_queue.PairQueue()
    pairs.add("a", 0, 3)
    pairs.add("b", 0, 1)
    pairs.drop("a")
    pairs.drop("never seen")
    assert pairs.take(4, patience=0) == [("b", 0)]


def test_a_batch_waits_for_its_last_pair_but_not_for_ever():
    pairs = pair_queue.PairQueue()
    pairs.add("a", 0, 1)
    late = threading.Timer(0.1, pairs.add, ("b", 0, 3))
    late.start()
    assert pairs.take(2, patience=30) == [("a", 0), ("b", 0)]
    late.join()
    assert pairs.take(8, patience=0.05) == [("b", 1), ("b", 2)]


def test_a_batch_that_is_not_full_waits_while_the_device_is_at_work():
    pairs = pair_queue.PairQueue()
    pairs.set_idle(False)
    pairs.add("a", 0, 2)
    idle = threading.Timer(0.1, pairs.set_idle, (True,))
    idle.start()
    assert pairs.take(3, patience=0.01) == [("a", 0), ("a", 1)]
    assert idle.finished.wait(0)
    idle.join()
    pairs.set_idle(False)
    pairs.add("a", 2, 3)
    assert pairs.take(3, patience=30) == [("a", 2), ("a", 3), ("a", 4)]
