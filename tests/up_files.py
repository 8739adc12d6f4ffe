"""An up.json of nothing that runs, for tests to change what they look at."""

from shared.data_dir import UpFile

NOWHERE = "http://127.0.0.1:1"
UP_FILE = UpFile(
    kafka="127.0.0.1:1",
    database_url="postgresql:///none",
    ingest=NOWHERE,
    scoring=NOWHERE,
    alerts=NOWHERE,
    write_key="myaku_write_1_s",
    token="myaku_admin_1_s",
    operations={},
    config="config",
    clock="wall",
    secret_key="s" * 32,
    pids={},
)
