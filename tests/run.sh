#!/usr/bin/env bash
# Sets up .venv and passes the tests; can be repeated. Arguments go to pytest (`bash tests/run.sh -m slow`).
set -euo pipefail
cd "$(dirname "$0")/.."

python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt

# The browser tests drive Debian's Chromium. Where it cannot be installed they are skipped, and say so.
if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium) >/dev/null ||
        echo "tests/run.sh: chromium could not be installed; the browser tests will be skipped" >&2
fi

.venv/bin/ruff check .
.venv/bin/ruff format --check .
# A file's tests stay in one process, which then makes what they share once; files are begun in the order of conftest.py.
# Two processes of one thread each: two threads each would wait for each other on two cores, and a run that is killed and
# goes on in another process would add its numbers up in another order.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
