"""How the machines of a run are written, and what is never let through to a command line."""

from __future__ import annotations

import pytest

from forgellm.domain.errors import InvalidField
from forgellm.domain.hosts import Host, backend_of, hosts_of_file, parse_hosts
from forgellm.domain.spec import parse_spec

RUN = {"model_name": "tiny", "training_type": "cpt", "dataset": "domain"}


def test_a_machine_has_a_name_and_may_have_addresses_and_devices():
    hosts = parse_hosts(["mac1.local", "ada@mac-2=10.0.0.2"])
    assert hosts == (Host("mac1.local"), Host("ada@mac-2", ("10.0.0.2",)))
    assert backend_of(hosts) == "ring"
    assert parse_hosts(["127.0.0.1", "10.0.0.7"])[1] == Host("10.0.0.7", ("10.0.0.7",))


REFUSED = """-oProxyCommand=sh|a b|a;b|$(sh)|a`b`|a'b|a"b|a&b|a>b|a\nb|é|a..b||a=1.2.3|a=1.2.3.4.5|a=|a=::1
|a=-o|ada@|-l@b|b@-o|a:22|../a|a/|a\0|a=1.2.3.4/$x|a*b|a,b|~|a%h|[::1]|ada@b@c"""


@pytest.mark.parametrize("name", [*REFUSED.split("|"), "a|b", "x" * 300])
def test_nothing_but_the_name_of_a_machine_reaches_a_command_line(name):
    with pytest.raises(InvalidField) as refused:
        parse_hosts([name, "mac2"])
    assert refused.value.details["field"] == "hosts"


def test_one_machine_is_no_group_and_a_batch_has_a_row_for_each():
    assert parse_spec({**RUN, "hosts": "a,b", "batch_size": 2}).hosts == ("a", "b")
    for wrong in (
        {"hosts": ["a"]},
        {"hosts": "a,b,c", "batch_size": 2},
        {"hosts": "a,b", "lora_init": "pissa"},
    ):
        with pytest.raises(InvalidField):
            parse_spec({**RUN, **wrong})


@pytest.mark.parametrize(
    ("items", "value", "instead"),
    [
        (["127.0.0.1=127.0.0.1+127.0.0.2", "127.0.0.1=127.0.0.3"], "127.0.0.3'", "=192.168.1.5+192.168.2.5"),
        (["a=10.0.0.1+10.0.1.1", "b"], "'b'", "b=192.168.1.5+192.168.2.5"),
        (["a=10.0.0.1/rdma_en1/rdma_en2", "b/rdma_en1/rdma_en2"], "a=10.0.0.1/", "a=10.0.0.1/-/rdma_en2."),
        (["a/-/-", "b/-/-"], "a/-/-", "a/-/rdma_en2."),
        (["a/-/d", "b/-/-"], "b/-/-", "b/rdma_en2/-."),
        (["a/-/d/-/d", "b/d/-/d/-", "c/-/d/-/-", "d/d/-/d/-"], "c/-/d/-/-", "c/-/d/-/rdma_en2."),
        (["a/-/d", "b"], "'b'", "b/rdma_en2/-."),
        (["a", "a"], "'a'", "Name each machine once"),
        (["ada@Mac.local.", "mac.local"], "'mac.local'", "Name each machine once"),
        (["a=10.0.0.1", "b=10.0.0.1"], "b=10.0.0.1", "Name each machine once"),
    ],
)
def test_machines_that_could_never_train_together_are_refused_with_what_to_write(items, value, instead):
    with pytest.raises(InvalidField) as refused:
        parse_hosts(items)
    assert refused.value.details["field"] == "hosts"
    assert value in refused.value.details["value"]
    assert instead in refused.value.suggestion


def test_one_machine_too_few_is_said_in_words():
    with pytest.raises(InvalidField, match="one machine is named, and a run on several takes from 2 to"):
        parse_hosts(["mac1.local"])


def test_this_machine_may_be_named_twice_to_try_things_out():
    assert len(parse_hosts(["127.0.0.1", "127.0.0.1"])) == 2
    assert len(parse_hosts(["localhost", "localhost", "me=127.0.0.2", "me=127.0.0.2"])) == 4
    assert len(parse_hosts(["a=10.0.0.1+10.0.1.1", "b=10.0.0.2+10.0.1.2"])) == 2


def test_a_host_file_of_mlx_becomes_the_one_field():
    ring = [{"ssh": "m1", "ips": ["10.0.0.1"], "rdma": []}, {"ssh": "m2", "ips": ["10.0.0.2"]}]
    assert hosts_of_file(ring) == ["m1=10.0.0.1", "m2=10.0.0.2"]
    fast = [
        {"ssh": "m1", "ips": ["10.0.0.1"], "rdma": [None, "rdma_en2"]},
        {"ssh": "m2", "ips": [], "rdma": [["rdma_en2", "rdma_en3"], None]},
    ]
    items = hosts_of_file({"backend": "jaccl", "envs": ["MLX_METAL_FAST_SYNCH=1"], "hosts": fast})
    assert items == ["m1=10.0.0.1/-/rdma_en2", "m2/rdma_en2+rdma_en3/-"]
    hosts = parse_hosts(items)
    assert hosts[1].devices == (("rdma_en2", "rdma_en3"), ())
    assert backend_of(hosts) == "jaccl"


def test_machines_without_a_device_between_two_that_are_not_neighbours_are_a_ring_over_rdma():
    hosts = parse_hosts(["a/-/d/-/d", "b/d/-/d/-", "c/-/d/-/d", "d/d/-/d/-"])
    assert backend_of(hosts) == "jaccl-ring"


@pytest.mark.parametrize(
    "data",
    [
        {"backend": "mpi", "hosts": [{"ssh": "a"}, {"ssh": "b"}]},
        {"envs": ["LD_PRELOAD=x.so"], "hosts": [{"ssh": "a"}, {"ssh": "b"}]},
        {"hosts": "a,b"},
        [{"ssh": "a"}, {"ips": []}],
        [{"ssh": "a"}],
        [],
        {"hosts": []},
        {"envs": [{}], "hosts": [{"ssh": "a"}, {"ssh": "b"}]},
        {"backend": "jaccl", "hosts": [{"ssh": "a"}, {"ssh": "b"}]},
        {
            "backend": "jaccl",
            "hosts": [{"ssh": "a", "rdma": [None, None]}, {"ssh": "b", "rdma": [None, None]}],
        },
        [{"ssh": "a"}, {"ssh": "-oProxyCommand=sh"}],
        {"backend": "jaccl", "hosts": [{"ssh": "a", "rdma": [None, "d"]}, {"ssh": "b", "rdma": ["d"]}]},
        7,
    ],
)
def test_a_host_file_that_says_something_else_is_refused(data):
    with pytest.raises(InvalidField):
        hosts_of_file(data)
