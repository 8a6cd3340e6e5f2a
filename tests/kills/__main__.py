"""The drill: `python -m tests.kills --kills 100`."""

import sys

from tests.live import RUNTIME

sys.path.insert(0, str(RUNTIME.parent))  # as pytest does; the processes of the pool take it over
if __name__ == "__main__":
    from tests.kills.driver import main

    sys.exit(main())
