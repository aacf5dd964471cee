"""Where jobs run: what is refused, each in one line that says what is allowed."""

import pytest

from flow.errors import BadInput
from flow.synth.jobs.settings import JobSettings, System, loopback


@pytest.mark.parametrize(
    "values, said",
    [
        ({"at_once": 0}, "--at-once 0: at least 1"),
        ({"retries": -1}, "--retries -1: 0 or more"),
        ({"backoff_s": float("nan")}, "--backoff nan"),
        ({"walltime_s": 5}, "--walltime 5: seconds, 60 or more"),
        ({"scheduler": "tcp://127.0.0.1:8786"}, "only with --jobs dask, not local"),
        ({"system": System.DASK, "scheduler": "somewhere"}, "tls://HOST:PORT"),
        ({"system": System.DASK, "scheduler": "http://127.0.0.1:1"}, "tls://HOST:PORT"),
        ({"system": System.DASK, "scheduler": "tcp://127.0.0.1"}, "tls://HOST:PORT"),
        ({"system": System.DASK, "scheduler": "tcp://127.0.0.1:99999"}, "tls://HOST:PORT"),
        ({"system": System.DASK, "scheduler": "tcp://farm.example:8786"}, "use tls://farm.example:8786"),
        ({"system": System.DASK, "scheduler": "tcp://10.0.0.1:8786"}, "tcp:// only to this machine's loopback"),
    ],
)
def test_what_can_not_be_used_is_refused_in_one_line(values, said):
    with pytest.raises(BadInput) as failure:
        JobSettings(**values)
    assert said in str(failure.value) and "\n" not in str(failure.value)


def test_keys_are_needed_all_three_and_must_be_there(tmp_path):
    there = tmp_path / "ca.pem"
    there.write_text("")
    tls = {"system": System.DASK, "scheduler": "tls://farm.example:8786"}
    with pytest.raises(BadInput, match="--tls-ca: all three are needed, --tls-cert is missing"):
        JobSettings(**tls, tls_ca=there)
    with pytest.raises(BadInput, match="--tls-key .*none: no such file"):
        JobSettings(**tls, tls_ca=there, tls_cert=there, tls_key=tmp_path / "none")
    with pytest.raises(BadInput, match="only with --scheduler tls://"):
        JobSettings(system=System.DASK, scheduler="tcp://127.0.0.1:1", tls_ca=there)
    assert JobSettings(**tls, tls_ca=there, tls_cert=there, tls_key=there).retries == 3


def test_an_unknown_system_is_told_the_known_ones():
    assert System.named("slurm") is System.SLURM
    with pytest.raises(BadInput, match="'pbs' is no system; known: local, dask, slurm, htcondor"):
        System.named("pbs")


def test_loopback_is_what_never_leaves_the_machine():
    assert loopback("127.0.0.1") and loopback("127.9.9.9") and loopback("::1") and loopback("localhost")
    assert not loopback("0.0.0.0") and not loopback("192.168.1.1") and not loopback("localhost.example")
