"""What assumed constants decide of the paper's clusters, by arithmetic that stands here alone."""

from __future__ import annotations

import math

import pytest

from gembench.study.clusters.model import sensitivity
from gembench.study.clusters.model.machines import ADONIS, GRIFFON, STORAGE
from gembench.study.clusters.searches import Job, Searches, paper_bank

BANK = 14_630
FILE = 160 * 160 * 4 / 100e6  # seconds of a file of a template or a mask, once it begins to arrive
CORE, GPU = 0.25 * 2.5 / 3.2, 22.9 * 102 / 144  # templates a second


def reading(access: float) -> float:
    """Seconds in which one disk gives out all templates and masks."""
    return BANK * 2 * (access + FILE)


def griffon(nodes: int, access: float | None = None) -> float:
    """Seconds of Griffon's nodes with 8 cores each; its reduction, below 0.2 s, left out."""
    share = math.ceil(BANK / nodes)
    computing = math.ceil(share / 8) / CORE
    return max(computing, reading(access) if access else share * 2 * (5e-3 + FILE))


def adonis(nodes: int, access: float) -> float:
    """Seconds of Adonis' nodes with 2 GPUs each."""
    return max(math.ceil(math.ceil(BANK / nodes) / 2) / GPU, reading(access))


def tree_step(link: float, memory: float) -> float:
    """Seconds to receive a map of 128 MiB and to fold it, 24 bytes a pixel."""
    return 4096**2 * 8 / link + 4096**2 * 24 / memory


def test_both_statements_of_griffon_hold_between_4_3_and_7_3_milliseconds():
    shortest, longest = sensitivity.griffon_interval()
    assert (round(1e3 * shortest, 1), round(1e3 * longest, 1)) == (4.3, 7.3)
    assert griffon(64) / griffon(64, shortest) == pytest.approx(0.95, abs=1e-3)
    assert griffon(1, longest) / griffon(64, longest) / 64 == pytest.approx(0.6, abs=1e-3)


@pytest.mark.parametrize("milliseconds", [1, 3, 5, 8, 13, 20])
def test_shares_of_the_ideal_by_access_time(milliseconds):
    access = milliseconds / 1e3
    disk = sensitivity.with_access(access)
    ours = griffon(1, access) / griffon(64, access) / 64
    assert sensitivity.of_ideal(GRIFFON, disk) == pytest.approx(ours, rel=2e-3)
    assert sensitivity.of_own_disks(GRIFFON, disk) == pytest.approx(
        ours / (griffon(1) / griffon(64) / 64), rel=2e-3)
    assert sensitivity.of_ideal(ADONIS, disk) == pytest.approx(
        adonis(1, access) / adonis(8, access) / 8, rel=2e-3)


def test_adonis_with_griffons_disk_is_at_a_third_of_the_ideal():
    assert round(sensitivity.of_ideal(ADONIS, STORAGE["shared"]), 2) == 0.32
    assert round(adonis(1, 5e-3) / adonis(8, 5e-3) / 8, 2) == 0.32


def test_adonis_with_its_templates_in_a_servers_memory_is_linear():
    files = BANK * 2 * (0.3e-3 + 160 * 160 * 4 / 110e6)
    times = [max(math.ceil(math.ceil(BANK / nodes) / 2) / GPU, files) for nodes in (1, 8)]
    assert times[0] / times[1] / 8 > 0.99
    assert sensitivity.of_ideal(ADONIS, STORAGE["cached"]) == pytest.approx(
        times[0] / times[1] / 8, rel=2e-3)


def test_threads_help_more_on_adonis_by_the_gain_typed_in_for_its_memory():
    on_griffon = tree_step(2e9, 3.5e9) / tree_step(2e9, 6.5e9)
    on_adonis = tree_step(4e9, 9e9) / tree_step(4e9, 30e9)
    with_griffons_gain = tree_step(4e9, 9e9) / tree_step(4e9, 9e9 * 6.5 / 3.5)
    assert round(on_adonis / on_griffon, 2) == 1.18
    assert round(with_griffons_gain / on_griffon, 2) == 0.96
    assert sensitivity.threads_gain(GRIFFON) == pytest.approx(on_griffon, rel=1e-4)
    assert sensitivity.more_on_adonis(sensitivity.memory_gain(ADONIS)) == pytest.approx(
        on_adonis / on_griffon, rel=1e-4)
    assert sensitivity.more_on_adonis(sensitivity.memory_gain(GRIFFON)) == pytest.approx(
        with_griffons_gain / on_griffon, rel=1e-4)


def share_of_tree(templates: int, n: int, memory: float) -> float:
    """What of the time of 64 nodes of Griffon with a disk each is the tree, 6 steps."""
    step = n**2 * 8 / 2e9 + n**2 * 24 / memory
    searching = max(math.ceil(math.ceil(templates / 64) / 8) / CORE / (4096 / n) ** 2,
                    math.ceil(templates / 64) * 2 * (5e-3 + FILE))
    return 6 * step / (searching + 6 * step)


def tree_share(setting: Searches, **axes: object) -> float:
    """The share that the study stores for a case."""
    case = next(case for case in setting.cases() if case.items() >= axes.items())
    return setting.metrics(setting.measure(1), case)["tree_share"]


def test_the_tree_is_a_fiftieth_of_the_papers_bank_at_most_and_an_eighth_of_klhs():
    share = tree_share(paper_bank("griffon", ("local",)), nodes=64)
    assert share == pytest.approx(share_of_tree(BANK, 4096, 6.5e9), rel=1e-3)
    assert share < 0.02
    assert share_of_tree(BANK, 4096, 1e9) < 0.02 < share_of_tree(BANK, 4096, 0.9e9)
    klh = Searches("model", "griffon", 2048, 180, (Job(64),), ("nodes",))
    assert tree_share(klh) == pytest.approx(share_of_tree(180, 2048, 6.5e9), rel=1e-3)
    assert round(100 * tree_share(klh)) == 13


def test_by_micrographs_is_faster_on_griffon_from_23_micrographs_of_klh_on():
    def seconds(mode: str, count: int) -> float:
        setting = Searches("model", "griffon", 2048, 180, (Job(64, "local", mode, count),), ("micrographs",))
        return setting.measure(1)[0]["seconds"]

    assert seconds("templates", 22) < seconds("micrographs", 22)
    assert seconds("templates", 23) > seconds("micrographs", 23)
