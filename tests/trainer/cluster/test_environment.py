"""The cluster that TF_CONFIG or Slurm describes, and what is refused before anything waits."""

import json
import socket

import pytest

from trainer.cluster.environment import Cluster, ClusterError, cluster_of, require_alone
from trainer.cluster.workers import WorkerLost, join

ADDRESSES = ["127.0.0.1:2001", "127.0.0.1:2002"]


def tf_config(cluster=None, task=None, **others) -> dict[str, str]:
    value = {"cluster": {"worker": ADDRESSES} if cluster is None else cluster, **others}
    if task is None:
        task = {"type": "worker", "index": 0}
    return {"TF_CONFIG": json.dumps(value | ({"task": task} if task else {}))}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TF_CONFIG": "  "},
        {"SLURM_STEP_NUM_TASKS": "1"},
        tf_config({"worker": ["127.0.0.1:2001"]}),
    ],
)
def test_one_machine_is_no_cluster(environment):
    assert cluster_of(environment) is None


def test_the_workers_in_their_order():
    cluster = cluster_of(tf_config(task={"type": "worker", "index": 1}))
    assert cluster == Cluster(tuple(ADDRESSES), 1)
    assert cluster.name(1) == "worker 1 (127.0.0.1:2002)"
    assert cluster.task == ("worker", 1) and cluster.roles == {"worker": ADDRESSES}


def test_a_chief_is_the_first_worker():
    """As Kubernetes' TFJob writes it; its index may be a string."""
    roles = {"chief": ["127.0.0.1:2000"], "worker": ADDRESSES}
    chief = cluster_of(tf_config(roles, {"type": "chief", "index": 0}))
    assert chief.index == 0 and chief.task == ("chief", 0)
    worker = cluster_of(tf_config(roles, {"type": "worker", "index": "1"}))
    assert worker.index == 2 and worker.task == ("worker", 1) and worker.roles == roles


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TF_CONFIG": "{worker"}, "text that is no JSON"),
        ({"TF_CONFIG": "[1, 2]"}, "Received: [1, 2]."),
        (tf_config({}), "no workers under `cluster`"),
        (tf_config({"worker": "127.0.0.1:2001"}), "as the list of `worker`"),
        (tf_config({"worker": ["127.0.0.1", "b:1"]}), "the address '127.0.0.1'; one is HOST:PORT"),
        (tf_config({"worker": ["a:1", "b:70000"]}), "the address 'b:70000'"),
        (tf_config({"chief": ["a:1", "b:1"]}), "2 chiefs"),
        (tf_config(task=False), "no type and index under `task`"),
        (tf_config(task={"type": "worker"}), "no type and index under `task`"),
        (tf_config(task={"type": "ps", "index": 0}), "a task of type 'ps'; one is chief or worker"),
        (tf_config(task={"type": "worker", "index": 2}), "worker 2 as this task, while `cluster`"),
        (tf_config(task={"type": "worker", "index": -1}), "a task with the index -1"),
        (tf_config(task={"type": "chief", "index": 0}), "chief 0 as this task, while `cluster`"),
    ],
)
def test_a_tf_config_that_says_too_little(environment, said):
    with pytest.raises(ClusterError, match="TF_CONFIG must name the workers") as error:
        cluster_of(environment)
    assert said in str(error.value)


def test_an_address_twice():
    with pytest.raises(ClusterError, match=r"127.0.0.1:2001 is that of two workers, 0 and 1\."):
        cluster_of(tf_config({"worker": ["127.0.0.1:2001"] * 2}))


def test_a_host_that_is_not_known():
    environment = tf_config({"worker": ["127.0.0.1:2001", "no-such-host.invalid:2001"]})
    with pytest.raises(ClusterError, match=r"That of worker 1 \(no-such-host.invalid:2001\) is"):
        cluster_of(environment)


def test_a_port_in_use():
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        cluster = Cluster((f"127.0.0.1:{port}", "127.0.0.1:9"), 0)
        with pytest.raises(ClusterError, match=f"its port {port} must be free"):
            join(cluster, 1)


def test_nobody_else_comes(capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(WorkerLost, match=r"worker 1 \(127.0.0.1:9\) did not answer"):
        join(Cluster((f"127.0.0.1:{port}", "127.0.0.1:9"), 0), 0.1)
    assert "waits for worker 1 (127.0.0.1:9)." in capsys.readouterr().err


def test_commands_for_one_machine_say_so(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config()["TF_CONFIG"])
    with pytest.raises(ClusterError, match=r"on several machines; trainer.embed uses one"):
        require_alone("trainer.embed")


def slurm(monkeypatch, rank: int, nodes: str, per_node: str) -> dict[str, str]:
    environment = {
        "SLURM_PROCID": str(rank),
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_TASKS_PER_NODE": per_node,
    }
    for name, value in environment.items():  # TensorFlow reads them itself
        monkeypatch.setenv(name, value)
    return environment


def test_two_tasks_of_slurm_on_a_node(monkeypatch):
    cluster = cluster_of(slurm(monkeypatch, 1, "localhost", "2"))
    assert cluster == Cluster(("localhost:8476", "localhost:8477"), 1)


def test_slurm_numbers_the_tasks_otherwise(monkeypatch):
    """192.0.2.1 is never this machine (RFC 5737)."""
    environment = slurm(monkeypatch, 0, "192.0.2.1,localhost", "1(x2)")
    with pytest.raises(ClusterError, match=r"This task, 0, runs on .*, not on 192.0.2.1"):
        cluster_of(environment)


def test_slurm_without_its_nodes(monkeypatch):
    environment = slurm(monkeypatch, 0, "localhost", "2")
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(ClusterError, match="Start training with `srun`"):
        cluster_of(environment)
