# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment in which taut's agents misbehave (faulty_agent.py)."""
import json
import sys

import noise
import tap


def faulty(taut, role, **fault):
    wrapper = taut.write("taut-agent", f'#!/bin/sh\nexec "{sys.executable}" "{tap.HERE}/faulty_agent.py" "$@"\n', 0o755)
    return {"TAUT_AGENT": wrapper, "TAUT_TEST_AGENT": str(tap.AGENT), "TAUT_TEST_RELAY": str(tap.RELAY),
            "TAUT_TEST_FAULT": json.dumps({"role": role, **fault}), "PYTHONDONTWRITEBYTECODE": "1"}


def relayed(taut, *options):
    """The client speaks to the server through taut-relay with these options."""
    noise.adopt(True)  # the relay and the server behind it are not waited for by taut, and are no noise
    return faulty(taut, "taut-server", do="relay", options=list(options))
