from __future__ import annotations

import ast
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from simdfl.rng import Rng
from topologies import (
    TOPOLOGIES,
    TopologyError,
    build,
    is_honest_connected,
    measure,
    measures,
    metropolis_weights,
)

DRAWN = [name for name in TOPOLOGIES if name != "from_file"]


def rng(seed: int = 1) -> np.random.Generator:
    return Rng(seed).stream("topology")


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("n", [9, 16, 40, 100])
def test_every_topology_is_a_simple_connected_graph_on_0_to_n(name, n):
    graph = build(name, n, rng())
    assert list(graph) == list(range(n))
    assert nx.is_connected(graph)
    assert nx.number_of_selfloops(graph) == 0
    assert list(graph.edges) == sorted(tuple(sorted(link)) for link in graph.edges)


@pytest.mark.parametrize("name", DRAWN)
def test_same_generator_same_graph(name):
    first, second, other = build(name, 30, rng()), build(name, 30, rng()), build(name, 30, rng(2))
    assert list(first.edges) == list(second.edges)
    assert first.nodes(data=True) == second.nodes(data=True)
    if name not in ("ring", "torus", "complete", "star", "exponential"):
        assert list(first.edges) != list(other.edges)


@pytest.mark.parametrize(
    "name, params, degree",
    [("ring", {}, 2), ("torus", {}, 4), ("complete", {}, 35), ("random_regular", {"degree": 5}, 5)],
)
def test_regular_degrees(name, params, degree):
    assert {d for _, d in build(name, 36, rng(), **params).degree} == {degree}


@pytest.mark.parametrize(
    "name, params, low, high",
    [
        ("erdos_renyi", {"mean_degree": 12}, 10, 14),
        ("erdos_renyi", {"p": 0.06}, 10, 14),
        ("watts_strogatz", {"degree": 6}, 6, 6),
        ("barabasi_albert", {"links": 3}, 5.8, 6),
        ("random_geometric", {"mean_degree": 16}, 11, 17),
        ("regions", {"n_regions": 4, "intra_degree": 6}, 6, 6.3),
    ],
)
def test_mean_degrees(name, params, low, high):
    assert low <= measure(build(name, 200, rng(), **params)).mean_degree <= high


def test_the_exponential_graph_links_to_powers_of_two():
    graph = build("exponential", 10, rng())
    assert sorted(graph[0]) == [1, 2, 4, 6, 8, 9]
    gaps = [measure(build("exponential", n, rng())).spectral_gap for n in (16, 256)]
    rings = [measure(build("ring", n, rng())).spectral_gap for n in (16, 256)]
    assert gaps[1] == pytest.approx(0.5 * gaps[0])  # falls as 1 / log n, that of a ring as 1 / n^2
    assert rings[1] < 0.02 * rings[0]


@pytest.mark.parametrize("name, params", [("random_regular", {"degree": 6}), ("erdos_renyi", {"mean_degree": 9})])
def test_the_gap_of_a_large_graph_is_that_of_all_eigenvalues(name, params):
    graph = build(name, 300, rng(), **params)
    assert measures._sparse_spectral_gap(graph) == pytest.approx(measure(graph).spectral_gap, rel=1e-3)


def test_torus_shapes():
    assert measure(build("torus", 24, rng())).diameter == 2 + 3  # 4 × 6
    assert measure(build("torus", 24, rng(), rows=3)).diameter == 1 + 4
    assert sorted(build("torus", 9, rng())[0]) == [1, 2, 3, 6]


def test_regions_are_dense_inside_and_thin_between():
    graph = build("regions", 60, rng(), n_regions=3, intra_degree=6, inter_links=2)
    home = nx.get_node_attributes(graph, "region")
    assert sorted(np.bincount(list(home.values()))) == [20, 20, 20]
    assert sum(home[a] != home[b] for a, b in graph.edges) == 3 * 2
    assert graph.number_of_edges() == 3 * 60 + 6
    given_home = [0, 1, 1, 0, 2]
    assert [build("regions", 5, rng(), region_of=given_home).nodes[i]["region"] for i in range(5)] == given_home


def test_files(tmp_path):
    graph = nx.cycle_graph(5)
    graph.add_edge(2, 2)
    nx.write_graphml(nx.relabel_nodes(graph, {i: f"v{i}" for i in range(5)}), tmp_path / "a.graphml")
    (tmp_path / "b.edgelist").write_text("10 9\n9 8\n8 10\n")
    (tmp_path / "c.edges").write_text("0 1\n2 3\n")
    (tmp_path / "d.graphml").write_text("no xml")
    (tmp_path / "e.png").write_text("")
    assert list(build("from_file", 5, rng(), path=str(tmp_path / "a.graphml")).edges) == sorted(
        tuple(sorted(link)) for link in nx.cycle_graph(5).edges
    )
    assert list(build("from_file", 3, rng(), path=str(tmp_path / "b.edgelist")).edges) == [(0, 1), (0, 2), (1, 2)]
    for file, n, message in [
        ("a.graphml", 6, "holds 5 peers, wanted n=6"),
        ("c.edges", 4, "no connected graph"),
        ("d.graphml", 4, "cannot be read"),
        ("e.png", 4, "must end in"),
        ("f.edges", 4, "does not exist"),
    ]:
        with pytest.raises(TopologyError, match=message):
            build("from_file", n, rng(), path=str(tmp_path / file))


@pytest.mark.parametrize(
    "name, n, params, message",
    [
        ("rnig", 5, {}, "did you mean 'ring'"),
        ("random_regular", 10, {"degre": 3}, "did you mean 'degree'"),
        ("ring", 10, {"degree": 3}, "known: none"),
        ("from_file", 10, {}, "'path' is missing"),
        ("ring", 2, {}, "needs n >= 3"),
        ("ring", 0, {}, "needs n >= 3"),
        ("torus", 14, {}, "both >= 3"),
        ("torus", 12, {"rows": 5}, "both >= 3"),
        ("random_regular", 8, {"degree": 8}, "between 1 and n-1=7"),
        ("random_regular", 9, {"degree": 3}, "must be even"),
        ("random_regular", 10, {"degree": 1}, "no connected graph with n=10 in 100 draws; use more links"),
        ("erdos_renyi", 300, {"mean_degree": 1}, "no connected graph"),
        ("erdos_renyi", 10, {"p": 0.5, "mean_degree": 3}, "not both"),
        ("erdos_renyi", 10, {"p": 1.5}, r"in \(0, 1\]"),
        ("watts_strogatz", 10, {"degree": 3}, "must be even"),
        ("watts_strogatz", 10, {"degree": 4, "rewire": 2}, r"in \[0, 1\]"),
        ("barabasi_albert", 4, {"links": 4}, "between 1 and n-1=3"),
        ("random_geometric", 10, {"radius": -1.0}, "must be positive"),
        ("regions", 3, {"n_regions": 4}, "between 1 and n=3"),
        ("regions", 3, {"region_of": [0]}, "for each of 3 peers"),
    ],
)
def test_impossible_requests_are_one_sentence(name, n, params, message):
    with pytest.raises(TopologyError, match=message) as caught:
        build(name, n, rng(), **params)
    assert "\n" not in str(caught.value)


def test_measures_of_known_graphs():
    for n in (5, 8, 21):
        ring = measure(build("ring", n, rng()))
        assert (ring.diameter, ring.links, ring.min_degree, ring.max_degree) == (n // 2, n, 2, 2)
        eigenvalues = [(1 + 2 * np.cos(2 * np.pi * k / n)) / 3 for k in range(1, n)]
        assert ring.spectral_gap == pytest.approx(1 - max(map(abs, eigenvalues)))
    complete = measure(build("complete", 12, rng()))
    assert (complete.diameter, complete.mean_path, complete.clustering) == (1, 1.0, 1.0)
    assert complete.spectral_gap == pytest.approx(1.0)
    star = measure(build("star", 11, rng()))
    assert (star.diameter, star.max_degree, star.clustering) == (2, 10, 0.0)
    assert star.mean_path == pytest.approx((10 * 2 + 10 * 9 * 2) / 110)


def test_mean_path_agrees_with_networkx_beyond_one_block():
    graph = build("watts_strogatz", 300, rng(), degree=4)
    found = measure(graph)
    assert found.mean_path == pytest.approx(nx.average_shortest_path_length(graph))
    assert found.diameter == nx.diameter(graph)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(9, 30))
def test_metropolis_matrix_averages(seed, n):
    weights = metropolis_weights(build("barabasi_albert", n, rng(seed), links=2))
    assert np.array_equal(weights, weights.T)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert weights.min() >= -1e-12


def test_gap_bounds_one_round_of_averaging():
    graph = build("random_regular", 30, rng(), degree=4)
    x = rng().standard_normal(30)
    x -= x.mean()
    mixed = metropolis_weights(graph) @ x
    assert mixed @ mixed <= (1 - measure(graph).spectral_gap) ** 2 * (x @ x) * (1 + 1e-9)


def test_disconnected_graphs_are_not_measured():
    with pytest.raises(TopologyError, match="2 parts"):
        measure(nx.Graph([(0, 1), (2, 3)]))


def test_a_coalition_can_cut_a_ring():
    ring = build("ring", 8, rng())
    assert is_honest_connected(ring, {3})
    assert is_honest_connected(ring, {3, 4})
    assert not is_honest_connected(ring, {3, 5})
    assert not is_honest_connected(ring, set(range(8)))


def test_package_stands_alone():
    allowed = {"networkx", "numpy", "scipy", "topologies", "__future__"}
    for file in Path(topologies.__file__).parent.glob("*.py"):
        for statement in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in statement.names] if isinstance(statement, ast.Import) else []
            names += [statement.module or ""] if isinstance(statement, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "simdfl" for name in names), file
            third = {n.split(".")[0] for n in names} - allowed
            assert third <= {"csv", "collections", "dataclasses", "difflib", "importlib", "inspect"} | {
                "itertools",
                "math",
                "pathlib",
                "typing",
            }, file
