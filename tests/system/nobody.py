# SPDX-License-Identifier: GPL-3.0-or-later
"""Taut as a user who is not root, by number: nobody, or somebody whom no file knows."""
import os
import shutil

from tap import AGENT, TAUT, Taut, need_program, need_root

NOBODY = 65534


def becoming(user=NOBODY):
    """What stands before a command that this user shall run."""
    return ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"]


class UsersTaut(Taut):
    """The two programs, copied to a folder of the user, who may not be able to read the build folder."""

    def __init__(self, user=NOBODY):
        need_root()
        need_program("setpriv")
        super().__init__()
        self.user = user
        for program in (TAUT, AGENT):
            shutil.copy(program, self.folder)
        self.program = str(self.folder / "taut")
        self.become = becoming(user)
        for variable in ("TAUT_STATE", "TAUT_DB"):
            del self.environment[variable]
        self.environment.update(HOME=str(self.folder), XDG_STATE_HOME=str(self.folder / "xdg"))
        for variable in ("XDG_RUNTIME_DIR", "SUDO_UID", "XDG_CONFIG_HOME"):
            self.environment.pop(variable, None)

    def start(self, *arguments, **options):
        for folder, folders, files in os.walk(self.folder):
            for name in (".", *folders, *files):
                os.chown(os.path.join(folder, name), self.user, self.user)
        options.setdefault("command", [*self.become, self.program])
        return super().start(*arguments, **options)
