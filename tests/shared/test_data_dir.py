"""One `myaku up` a data directory; what tools read there is theirs alone to read."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from services.standalone import ports
from shared.data_dir import DataDir
from shared.runtime import UserError
from tests.up_files import UP_FILE

GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_only_one_may_use_a_data_directory(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path), DataDir(tmp_path)
    assert not second.is_taken()
    lock = first.take()
    assert second.is_taken()
    with pytest.raises(UserError, match="Another `myaku up` uses the data directory"):
        second.take()
    os.close(lock)
    os.close(second.take())


def test_up_json_is_for_its_owner_only(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    assert data_dir.read() is None
    data_dir.write(UP_FILE)
    assert stat.S_IMODE((tmp_path / "up.json").stat().st_mode) == 0o600
    assert data_dir.read() == UP_FILE
    written = json.loads((tmp_path / "up.json").read_text())
    assert written["kafka"] == UP_FILE.kafka
    assert written["token"] == UP_FILE.token
    assert written["console"] is None
    data_dir.remove_up_file()
    assert not (tmp_path / "up.json").exists()


def test_the_secret_key_is_made_once_and_kept(tmp_path: Path) -> None:
    key = DataDir(tmp_path).secret_key_file().read_text()
    assert len(key) == 64
    assert DataDir(tmp_path).secret_key_file().read_text() == key
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} .*--ports-from"):
            ports.choose(port - 2)


def test_ports_keep_their_order() -> None:
    chosen = ports.choose(23400)
    assert chosen.api == {"ingest": 23401, "scoring": 23402, "alerts": 23403}
    assert chosen.operations == {"ingest": 23411, "scoring": 23412, "alerts": 23413}
    assert chosen.environment()["MYAKU_ALERTS_OPERATIONS_PORT"] == "23413"


def test_free_ports_are_all_different() -> None:
    chosen = ports.choose(0)
    assert len({*chosen.api.values(), *chosen.operations.values()}) == 6


@pytest.mark.skipif(not GIVEN.exists(), reason="only Linux says which ports connections are given")
def test_no_connection_takes_a_free_port_before_it_is_listened_on() -> None:
    chosen = {ports.free_port() for _ in range(20)} | {*ports.choose(0).api.values()}
    given, _ = GIVEN.read_text().split()
    assert max(chosen) < int(given)
