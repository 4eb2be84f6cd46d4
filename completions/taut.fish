# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of taut for fish: the program itself says what can follow (taut VERB --words).

function __taut_words
    set -l typed (commandline -opc)
    if test (count $typed) -le 1
        command taut --words 2>/dev/null
    else
        command taut $typed[2] --words 2>/dev/null
    end
end

complete -c taut -n 'test (count (commandline -opc)) -le 1' -f
complete -c taut -a '(__taut_words)'
